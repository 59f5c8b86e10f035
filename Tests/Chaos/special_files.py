"""What somebody with a shell puts into the chunk store: pipes, sockets, links, folders, huge files."""

import os
import shutil
import socket

# Bytes of a file that has none of them.
SPARSE_BYTES = 1 << 40
ELSEWHERE = b"what stands outside of the store is nobody's business\n"


class SpecialFiles:
    """Special files in the chunk store of a fleet."""

    def __init__(self, fleet, source):
        self.fleet, self.source = fleet, source
        self.outside, self.outside_folder = fleet.folder / "elsewhere", fleet.folder / "elsewhere.d"
        self.kinds = {
            "FIFO": os.mkfifo, "socket": bound, "folder": os.mkdir, "folder with a file": full_folder,
            "sparse file": sparse_file,
            "link to a file": lambda path: path.symlink_to(self.outside),
            "link to a folder": lambda path: path.symlink_to(self.outside_folder),
            "link to nothing": lambda path: path.symlink_to("nothing")}

    def put(self):
        """Puts one somewhere; answers path, inode (None where it is left) and what it did, or None."""
        self.outside.write_bytes(ELSEWHERE)
        self.outside_folder.mkdir(exist_ok=True)
        kind = self.source.choice(sorted(self.kinds))
        where = self.source.choice(["next", "next", "next", "beside", "session"])
        found = self._place(where, kind)
        if found is None:
            return None
        path, session = found
        try:
            self.kinds[kind](path)
        except OSError:
            return None  # its place is taken, or the disk is full
        inode = path.lstat().st_ino
        if where == "beside":
            if self.source.random() < 0.5:
                self.fleet.inflicted.left.add(str(path.relative_to(self.fleet.store)))
                inode = None
        else:
            self.fleet.inflicted.blocked.add(session)
        return path, inode, f"{kind}, {where}: {path.relative_to(self.fleet.store)}"

    def _place(self, where, kind):
        """A path with the session whose chunks it may keep from being stored; None when there is none now."""
        if where == "session":
            if kind.startswith("folder"):
                return None  # that is what stands there anyway
            session = f"chaos-{self.fleet.seed}-{self.fleet.made}"
            return self.fleet.store / session, session
        running = [one.session for one in [*self.fleet.live, *self.fleet.streams] if one.is_alive()]
        folders = [self.fleet.store / session for session in running]
        folders = [folder for folder in folders if folder.is_dir() and not folder.is_symlink()]
        if not folders:
            return None
        folder = self.source.choice(folders)
        numbers = [int(path.stem) for path in folder.glob("*.reel") if path.stem.isdigit()]
        last = max((number for number in numbers if number < 10_000), default=0)
        if where == "next":
            return folder / f"{last + self.source.randint(1, 3):08d}.reel", folder.name
        names = [f"{last + 10_000:08d}.reel", f"{last + 1:08d}.reel.old", "stray"]
        return folder / self.source.choice(names), folder.name

    def take_away(self, path, inode):
        """Takes it away again, if it is still the same."""
        try:
            if path.lstat().st_ino != inode:
                return
        except OSError:
            self.fleet.inflicted.noticed.append(
                f"{path.name} of {path.parent.name} was taken away by somebody")
            return
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()

    def look_outside(self):
        """Notes when what the links lead to is not what it was."""
        if not self.outside.exists():
            return
        if self.outside.read_bytes() != ELSEWHERE or any(self.outside_folder.iterdir()):
            self.fleet.inflicted.noticed.append("a link in the chunk store was followed, and written through")


def bound(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def full_folder(path):
    path.mkdir()
    (path / "00000001.reel").write_bytes(b"in a folder")


def sparse_file(path):
    with open(path, "xb") as file:
        file.truncate(SPARSE_BYTES)

