"""The server's HTTP interface: wire types, the guard before everything, routes, streams, and its own description."""
