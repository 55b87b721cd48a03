"""What a Runner is made of: settings, where jobs run, and the folder that keeps them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from spark_jobs import journal
from spark_jobs.app.choose import choose, choose_fake
from spark_jobs.app.core import Parts
from spark_jobs.cluster.base import Cluster
from spark_jobs.config import Settings

log = journal.logger(__name__)


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """``fake``: a fake cluster, or the word ``fake``, in place of the settings' own. ``folder``: the user's data folder;
    null is a private one, gone at the end. ``by_keywords``: that is how the user gave the settings, and knows them."""

    settings: Settings
    fake: str | Cluster | None = None
    folder: Path | None = None
    by_keywords: bool = True

    @property
    def private(self) -> bool:
        """Whether nobody can find its jobs again after its end."""
        return self.folder is None

    @property
    def outlived(self) -> bool:
        """Whether what runs can go on without this process."""
        return self.fake is not None or self.settings.cluster == "kubernetes"

    @property
    def keeps_objects(self) -> bool:
        """Whether objects of jobs that are over stay in the cluster for a while, as was asked."""
        return bool(self.settings.keep_objects or self.settings.keep_failed_objects)

    @contextmanager
    def parts(self) -> Iterator[Parts]:
        """The parts of a core, for the time that it runs. Raises CredentialsError, SettingError."""
        if self.fake is not None:
            yield choose_fake(self._in(self.folder or Path()), self.fake, in_memory=self.private)
        elif self.folder is not None:
            yield choose(self._in(self.folder))
        else:
            with _private_folder() as folder:
                yield choose(self._in(folder))

    def _in(self, folder: Path) -> Settings:
        return msgspec.structs.replace(self.settings, data_dir=folder)


@contextmanager
def _private_folder() -> Iterator[Path]:
    # Not a TemporaryDirectory: that one is removed by a forked process, too, when it exits.
    folder = Path(tempfile.mkdtemp(prefix="spark-runner-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            log.warning("can't remove a private folder", folder=str(folder))
