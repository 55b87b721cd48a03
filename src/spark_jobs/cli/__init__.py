"""The command line, `spark`: each command is imported only when it is used."""
