"""What goes wrong with a test cluster, in words for the person who asked for it."""


class ClusterError(Exception):
    """Something could not be done; the text says what happened and what to do."""


class MachineNotFit(ClusterError):
    """This machine cannot run the cluster; `missing` names each reason."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__("; ".join(missing))
        self.missing = missing
