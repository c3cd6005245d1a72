"""What a disk may hold after the power fails: a command's system calls are recorded, and every state is built again.

`strace` sees each call that changes files, whoever makes it. Between two of them the power may fail. Then of a file
that was not flushed any part may be there, or nothing; of a folder that was not flushed any of its last changes. A
rename that loses its new name keeps its old one, as on every file system; nothing else is taken for granted, not even
that what was done first is there first.
"""

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

CALLS = (
    "open,openat,creat,close,dup,dup2,dup3,fcntl,read,pread64,lseek,write,pwrite64,writev,pwritev,sendfile,mmap,"
    "copy_file_range,ftruncate,truncate,fallocate,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,"
    "unlinkat,rmdir,mkdir,mkdirat,fsync,fdatasync"
)
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
OF_FOLDER = re.compile(r"(?:AT_FDCWD|\d+)<((?:\\x[0-9a-f]{2})*)>$")
CHANGES = ("open", "write", "rename", "link", "unlink", "mkdir", "fsync", "truncate")


def text(hexed: str) -> bytes:
    return bytes.fromhex(hexed.replace("\\x", ""))


@dataclass(eq=False)
class File:
    """A file: what it holds, and what of that was flushed."""

    content: bytearray = field(default_factory=bytearray)
    flushed: bytes = b""

    def after(self, draw: random.Random | None, all_of_it: bool) -> bytes:
        """Return what may be there afterwards: nothing that was not flushed, all, or some of it."""
        if all_of_it or self.flushed == self.content:
            return bytes(self.content)
        if draw is None:
            return self.flushed
        cut = draw.randint(0, len(self.content))
        torn = bytes(self.content[:cut])
        return draw.choice((self.flushed, torn, torn + bytes(len(self.content) - cut), bytes(self.content)))


@dataclass(eq=False)
class Directory:
    """A folder: the names that it has, those that were flushed, and the changes since."""

    names: "dict[str, File | Directory]" = field(default_factory=dict)
    flushed: "dict[str, File | Directory]" = field(default_factory=dict)
    changes: "list[Change]" = field(default_factory=list)

    def change(self, name: str, node: "File | Directory | None", needs: "Change | None" = None) -> "Change":
        made = Change(self, name, node, needs)
        self.changes.append(made)
        _set(self.names, name, node)
        return made

    def flush(self) -> None:
        while self.changes:
            self.changes[0].commit()


@dataclass(eq=False)
class Change:
    """A name in a folder that is given, given to something else, or taken away; a rename takes the old one last."""

    folder: Directory
    name: str
    node: File | Directory | None
    needs: "Change | None"
    follows: "Change | None" = None
    """No folder has two names: the old one goes with the new one."""

    def commit(self) -> None:
        if self.needs is not None and self.needs in self.needs.folder.changes:
            self.needs.commit()
        # What was done to this name before has happened before.
        earlier = self.folder.changes[: self.folder.changes.index(self) + 1]
        for change in (one for one in earlier if one.name == self.name):
            self.folder.changes.remove(change)
            _set(change.folder.flushed, change.name, change.node)
        if self.follows is not None and self.follows in self.follows.folder.changes:
            self.follows.commit()


def _set(names: dict[str, File | Directory], name: str, node: File | Directory | None) -> None:
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node


@dataclass(eq=False)
class Opened:
    """An open file: where in it the next bytes go."""

    file: File
    appends: bool
    at: int = 0


@dataclass
class Disk:
    """A folder on a disk, as the calls so far have left it."""

    path: Path
    root: Directory = field(default_factory=Directory)
    opened: dict[int, Opened] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> "Disk":
        """Take a folder as it is; all of it was flushed long ago."""
        disk = cls(path)

        def fill(folder: Directory, place: Path) -> None:
            for entry in place.iterdir():
                if entry.is_dir():
                    fill(node := Directory(), entry)
                    folder.names[entry.name] = folder.flushed[entry.name] = node
                else:
                    content = entry.read_bytes()
                    folder.names[entry.name] = folder.flushed[entry.name] = File(bytearray(content), content)

        fill(disk.root, path)
        return disk

    def find(self, path: Path) -> tuple[Directory, str] | None:
        """Return the folder and the name of a path; None where it is elsewhere."""
        if not path.is_relative_to(self.path):
            return None
        *parents, name = ("", *path.relative_to(self.path).parts)
        node: File | Directory = self.root
        for parent in parents[1:]:
            assert isinstance(node, Directory)
            node = node.names[parent]
        assert isinstance(node, Directory)
        return node, name

    def node(self, path: Path) -> File | Directory | None:
        found = self.find(path)
        if found is None:
            return None
        return self.root if path == self.path else found[0].names.get(found[1])

    def files(
        self, draw: random.Random | None = None, *, contents: bool = False, names: bool = False
    ) -> dict[str, bytes]:
        """Return what may be there when the power fails now: names of files, and of folders with a slash.

        Without `draw` what was not flushed is lost, but for all `contents` or all `names` of it.
        """
        lost = {
            id(change)
            for folder in self._folders(self.root, set())
            for change in folder.changes
            if not names and (draw is None or draw.random() < 0.5)
        }
        found: dict[str, bytes] = {}

        def gone(change: Change | None) -> bool:
            waits = change is not None and change in change.folder.changes
            moved = change is not None and change.needs is not None and change.needs.follows is change
            return change is not None and waits and (gone(change.needs) or (id(change) in lost and not moved))

        def fill(folder: Directory, place: str) -> None:
            entries = dict(folder.flushed)
            for change in folder.changes:
                if not gone(change):
                    _set(entries, change.name, change.node)
            for name, node in entries.items():
                if isinstance(node, Directory):
                    found[f"{place}{name}/"] = b""
                    fill(node, f"{place}{name}/")
                else:
                    found[f"{place}{name}"] = node.after(draw, contents)

        fill(self.root, "")
        return found

    def _folders(self, folder: Directory, seen: set[int]) -> Iterator[Directory]:
        if id(folder) not in seen:
            seen.add(id(folder))
            yield folder
            for node in (*folder.names.values(), *folder.flushed.values(), *(one.node for one in folder.changes)):
                if isinstance(node, Directory):
                    yield from self._folders(node, seen)

    def apply(self, call: str, arguments: list[str], result: str) -> str | None:
        """Apply a call; return what kind of change it was, None if none here."""
        number = int(result.split("<")[0].split()[0], 16 if result.startswith("0x") else 10)
        kind = {"pwrite64": "write", "writev": "write", "pwritev": "write", "sendfile": "write"}.get(call, call)
        kind = {"copy_file_range": "write", "ftruncate": "truncate", "fallocate": "truncate"}.get(kind, kind)
        kind = {"fdatasync": "fsync", "rmdir": "unlink", "creat": "open"}.get(kind, kind).removesuffix("2")
        for name in ("rename", "link", "unlink", "mkdir", "open", "symlink"):
            kind = name if kind == f"{name}at" else kind
        if kind in CHANGES or kind in ("lseek", "read", "close", "dup", "fcntl", "mmap", "symlink"):
            done = getattr(self, f"_{kind}")(call, arguments, number)
            return kind if done and kind in CHANGES else None
        return None

    def _paths(self, arguments: list[str]) -> list[Path]:
        """Return the paths among arguments: relative ones are relative to the folder before them."""
        found, base = [], Path.cwd()
        for argument in arguments:
            if of_folder := OF_FOLDER.match(argument):
                base = Path(os.fsdecode(text(of_folder[1])))
            elif named := TEXT.match(argument):
                found.append(Path(os.path.normpath(base / os.fsdecode(text(named[1])))))
        return found

    def _open(self, _: str, arguments: list[str], number: int) -> bool:
        path = self._paths(arguments)[0]
        if (found := self.find(path)) is None or path == self.path:
            self.opened.pop(number, None)
            return False
        folder, name = found
        flags, node = " ".join(arguments), folder.names.get(name)
        changed = node is None
        if node is None:
            assert "O_CREAT" in flags, path
            node = File()
            folder.change(name, node)
        if isinstance(node, File):
            if "O_TRUNC" in flags:
                changed |= bool(node.content)
                node.content.clear()
            self.opened[number] = Opened(node, "O_APPEND" in flags)
        return changed

    def _close(self, _: str, arguments: list[str], __: int) -> bool:
        return self.opened.pop(_descriptor(arguments[0]), None) is not None

    def _dup(self, _: str, arguments: list[str], number: int) -> bool:
        self.opened.pop(number, None)
        if (opened := self.opened.get(_descriptor(arguments[0]))) is not None:
            self.opened[number] = opened
        return False

    def _fcntl(self, call: str, arguments: list[str], number: int) -> bool:
        return "F_DUPFD" in arguments[1] and self._dup(call, arguments, number)

    def _mmap(self, _: str, arguments: list[str], __: int) -> bool:
        there = _descriptor(arguments[4]) in self.opened
        assert not (there and "PROT_WRITE" in arguments[2] and "MAP_SHARED" in arguments[3]), "writes that nobody sees"
        return False

    def _lseek(self, _: str, arguments: list[str], number: int) -> bool:
        if (opened := self.opened.get(_descriptor(arguments[0]))) is not None:
            opened.at = number
        return False

    def _read(self, _: str, arguments: list[str], number: int) -> bool:
        if (opened := self.opened.get(_descriptor(arguments[0]))) is not None:
            opened.at += number
        return False

    def _write(self, call: str, arguments: list[str], number: int) -> bool:
        if call == "copy_file_range":
            arguments = [arguments[2], arguments[0]]
        opened = self.opened.get(_descriptor(arguments[0]))
        if call in ("sendfile", "copy_file_range"):
            source = self.opened.get(_descriptor(arguments[1]))
            if opened is None:
                assert source is None
                return False
            assert source is not None, "a copy of a file that lies elsewhere"
            # Whole files are copied, from where the last copy ended.
            data = bytes(source.file.content[source.at : source.at + number])
            source.at += number
        else:
            data = b"".join(text(one) for one in TEXT.findall(",".join(arguments[1:])))[:number]
        if opened is None:
            return False
        at = int(arguments[3]) if call in ("pwrite64", "pwritev") else opened.at
        content = opened.file.content
        at = len(content) if opened.appends else at
        content.extend(bytes(max(0, at - len(content))))
        content[at : at + number] = data
        if not call.startswith("pwrite"):
            opened.at = at + number
        return True

    def _truncate(self, call: str, arguments: list[str], _: int) -> bool:
        if call == "truncate":
            node = self.node(self._paths(arguments)[0])
        else:
            opened = self.opened.get(_descriptor(arguments[0]))
            node = None if opened is None else opened.file
        if not isinstance(node, File):
            return False
        size = int(arguments[1]) if call != "fallocate" else int(arguments[2]) + int(arguments[3])
        if call != "fallocate":
            del node.content[size:]
        node.content.extend(bytes(max(0, size - len(node.content))))
        return True

    def _rename(self, _: str, arguments: list[str], __: int) -> bool:
        source, target = (self.find(path) for path in self._paths(arguments))
        if source is None:
            assert target is None, "something from elsewhere is renamed"
            return False
        assert target is not None
        made = target[0].change(target[1], source[0].names[source[1]])
        left = source[0].change(source[1], None, made)
        made.follows = left if isinstance(made.node, Directory) else None
        return True

    def _link(self, _: str, arguments: list[str], __: int) -> bool:
        source, target = (self.find(path) for path in self._paths(arguments))
        if source is None or target is None:
            return False
        target[0].change(target[1], source[0].names[source[1]])
        return True

    def _symlink(self, _: str, arguments: list[str], __: int) -> bool:
        assert self.find(self._paths(arguments)[-1]) is None, "links are not recorded"
        return False

    def _unlink(self, _: str, arguments: list[str], __: int) -> bool:
        if (found := self.find(self._paths(arguments)[0])) is None:
            return False
        found[0].change(found[1], None)
        return True

    def _mkdir(self, _: str, arguments: list[str], __: int) -> bool:
        if (found := self.find(self._paths(arguments)[0])) is None:
            return False
        found[0].change(found[1], Directory())
        return True

    def _fsync(self, _: str, arguments: list[str], __: int) -> bool:
        path = OF_FOLDER.match(arguments[0])
        opened = self.opened.get(_descriptor(arguments[0]))
        node = opened.file if opened is not None else None
        if node is None and path is not None:
            found = self.node(Path(os.fsdecode(text(path[1]))))
            assert not isinstance(found, File)
            if found is None:
                return False
            found.flush()
        elif node is not None:
            node.flushed = bytes(node.content)
        return True


def _descriptor(argument: str) -> int:
    """Return the number of a file: `3<path>`, or `0x3` where a call is printed raw."""
    return int(argument.split("<")[0], 0)


Calls = list[tuple[str, list[str], str]]


def record(command: list[str], log: Path) -> Calls:
    """Run Python with these arguments; return its calls that succeeded, in the order in which they ended."""
    strace = ["strace", "-f", "--seccomp-bpf", "-qq", "-y", "-xx", "-s", "33554432", "-e", "signal=none"]
    traced = [*strace, "-e", f"trace={CALLS}", "-e", "raw=read,pread64", "-o", str(log), sys.executable, *command]
    done = subprocess.run(traced, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, begun = Calls(), dict[str, str]()
    with log.open() as lines:
        for line in lines:
            thread, _, rest = line.rstrip("\n").partition(" ")
            rest = rest.lstrip()
            if rest.endswith("<unfinished ...>"):
                begun[thread] = rest.removesuffix("<unfinished ...>").rstrip()
                if not rest.startswith("close("):
                    continue
                # Before it ends another thread may have got its number.
                rest = f"{begun[thread]}) = 0"
            elif "close resumed" in rest:
                continue
            if resumed := re.match(r"<\.\.\. \w+ resumed>", rest):
                rest = begun.pop(thread) + rest[resumed.end() :]
            called = re.match(r"(\w+)\((.*)\)\s+= (\S+)", rest)
            if called and not called[3].startswith(("-1", "?")):
                found.append((called[1], _split(called[2]), called[3]))
    return found


def _split(arguments: str) -> list[str]:
    """Split arguments at commas; what is inside structures stays together."""
    return re.split(r",\s*(?![^\[{]*[\]}])", arguments)


def states(disk: Disk, calls: Calls, seeds: range) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield what may be there when the power fails before, after or during each call, and how that came about.

    Of each moment these: what was flushed alone; all; all names and what was flushed of files; and by each seed some
    of what was not flushed. The last one is that of the end, and what was flushed alone.
    """
    seen: set[int] = set()
    number, last = 0, None
    for call, arguments, result in calls:
        if (kind := disk.apply(call, arguments, result)) is None:
            continue
        # Of what is written piece by piece any part may be missing anyway.
        if kind == "write" and last == "write":
            continue
        last, number = kind, number + 1
        ways = {
            "flushed alone": partial(disk.files),
            "all": partial(disk.files, contents=True, names=True),
            "all names": partial(disk.files, names=True),
            **{f"seed {seed}": partial(disk.files, random.Random(f"{seed} {number}")) for seed in seeds},
        }
        for way, files in ways.items():
            found = files()
            known = hash(tuple(sorted(found.items())))
            if known not in seen:
                seen.add(known)
                yield f"call {number} ({kind}), {way}", found
    yield "the end, flushed alone", disk.files()


def lay(files: dict[str, bytes], place: Path) -> None:
    """Make a folder that has these files and nothing else."""
    for entry in place.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    for name, content in files.items():
        path = place / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(content)


def laid(place: Path) -> dict[str, bytes]:
    """Return what a folder has, as `lay` takes it."""
    return {
        f"{path.relative_to(place)}{'/' if path.is_dir() else ''}": b"" if path.is_dir() else path.read_bytes()
        for path in place.rglob("*")
    }
