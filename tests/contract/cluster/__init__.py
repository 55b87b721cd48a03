"""One suite for everything that promises to be a cluster: the fake, this machine, and real Kubernetes."""
