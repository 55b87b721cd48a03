"""The gRPC interface: both services over the one JobService, in its event loop. Needs the extra ``grpc``."""
