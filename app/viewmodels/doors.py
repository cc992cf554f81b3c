"""The two threads on the database: one writes, one reads; and what becomes of a database that cannot be opened.

A locked or unwritable database may still be read. One that cannot be opened at all is said so, keeps its
threads at rest, and is tried again when the person asks.
"""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.viewmodels import bookkeeping
from app.viewmodels.background import Background
from core.errors import UserError
from core.store.home import Home


class Doors(QObject):
    """Opens a home's database.

    Attributes:
        writer: runs jobs that write.
        reader: runs jobs that only read, and tells of commits by others.
    """

    opened = Signal(object)
    """The books, once the database can be written; reading may have begun before."""
    failed = Signal(str, str)  # message, hint: of a job
    refused = Signal(str, str)  # message, hint: of opening

    def __init__(self, home: Home, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._home = home
        self._asked = False
        self.writer = Background(home.database, read_only=False, parent=self)
        self.reader = Background(home.database, read_only=True, parent=self)
        for background in (self.writer, self.reader):
            background.failed.connect(self.failed)
        self.writer.refused.connect(self._writer_refused)
        self.reader.refused.connect(self.refused)

    def open(self) -> None:
        """Open what is not open; answers with `opened` or `refused`."""
        try:
            self._home.create()
        except UserError as error:
            self.writer.refuse(error.message, error.hint)
            self._writer_refused(error.message, error.hint)
            return
        if self.writer.isRunning():
            self.read()
            return
        self.writer.admit()
        if not self._asked:  # a job that was given waits until the database is open
            self._asked = True
            self.writer.submit(bookkeeping.open_books, self.opened.emit)
        self.writer.start()

    def read(self) -> None:
        """Begin to read; a second call does nothing."""
        if not self.reader.isRunning():
            self.reader.admit()
            self.reader.start()

    def close(self) -> None:
        """Finish the jobs already given, drop their answers, and end both threads."""
        for background in (self.reader, self.writer):
            background.close()

    def _writer_refused(self, message: str, hint: str) -> None:
        """What cannot be written can often be read: a file that another program is writing to."""
        if self._home.database.is_file():
            self.read()
        else:
            self.reader.refuse(message, hint)
        self.refused.emit(message, hint)
