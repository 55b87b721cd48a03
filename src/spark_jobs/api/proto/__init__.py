"""The gRPC interface: its `.proto` files, and the modules that protoc makes of them (`make fmt` does)."""
