"""Observe topics in shared memory from plain Python.

    python3 -m shmtopic NAME            print what comes

    import shmtopic
    with shmtopic.Observer("prices") as topic:
        for sample in topic:            # ends when the topic ends
            print(sample.seq, sample.missed, sample.data)

An observer reads without joining: it writes nothing anywhere, any number may
do it, and the publisher cannot tell. Samples are copies; what is overwritten
before it is copied is lost, and `missed` says how many. It follows the topic
when another publisher takes it over. The bytes and the protocol are those of
spec/topic.md (version 1); publishers are written in Go or C.

Needs nothing but the standard library, of Python 3.8 or later, on 64-bit
little-endian Linux.

What makes it right. Python has no atomics. A word of the topic is read as an
element of a memoryview with format Q, which CPython copies with memcpy of
eight aligned bytes, and that is one load. The loads of a stamp, of the payload
and of the stamp again are in different byte codes, so they are executed in
that order. What the *processor* may reorder is left:

  amd64   Loads are not reordered with loads. Nothing has to be done.
  arm64   They are. A fence is needed between them: atomic_thread_fence of
          libatomic, called through ctypes. Where there is no libatomic, Observer
          raises LibatomicMissing rather than to give what may be torn.

Waiting is polling, with sleeps that grow from 50 microseconds to 10
milliseconds: to be woken one has to write into the topic.

Limits. A publisher that cuts the memory short is noticed before each sample,
and Truncated; should it do so in the microseconds after that, the interpreter
dies of SIGBUS. Whoever may write the file is its owner alone.
"""

import errno
import mmap
import os
import platform
import stat
import struct
import sys
import time

__all__ = [
    "Observer", "Sample", "Error", "NotFound", "Permission", "Corrupt", "Version",
    "Removed", "OwnerDied", "Truncated", "LibatomicMissing", "OLDEST", "NEWEST", "NEXT", "VERSION",
]

VERSION = 1  # the layout that is known here
FEATURES = 0  # the feature bits that are
OLDEST, NEWEST, NEXT = "oldest", "newest", "next"  # where to begin


class Error(Exception):
    """Anything that is wrong with a topic; the text says what."""


class NotFound(Error):
    """There is no such topic."""


class Permission(Error):
    """This user may not read it."""


class Corrupt(Error):
    """It holds what no publisher writes."""


class Version(Error):
    """It has a layout, or features, that are not known here."""


class Removed(Error):
    """Its name is gone, or stands for another topic."""


class OwnerDied(Error):
    """Its publisher died, and no other has taken over in time."""


class Truncated(Corrupt):
    """Its memory was cut short."""


class LibatomicMissing(Error):
    """This processor needs a fence between loads, and there is none."""


class Sample:
    """A sample: data (bytes), number, seq (dense), missed, time (ns since
    1970), word and flags (the user's)."""

    __slots__ = ("data", "number", "seq", "missed", "time", "word", "flags")

    def __init__(self, data, number, seq, missed, time, word, flags):
        self.data, self.number, self.seq, self.missed = data, number, seq, missed
        self.time, self.word, self.flags = time, word, flags

    def __repr__(self):
        return "Sample(seq=%d, number=%d, missed=%d, %d bytes)" % (self.seq, self.number, self.missed, len(self.data))


# The layout: spec/topic.md, section 3.
_PAGE = 4096
_HEADER = struct.Struct("<8sIIQIIQ16sQQQ16sqI4x16sI")
_CONFIG = struct.Struct("<9Q4Iq32s192s")
_CONFIG_AT = 192
_HOT_SIZE, _ENTRY_SIZE, _SLOT_LEAST, _LINE = 768, 128, 48, 128
_HEAD, _EPOCH, _SINCE, _END, _PUBLISHER = 0, 128, 136, 144, 152
_READY = 0x59444552
_DATA, _PUBLISHER_FILE = 1, 3
_SAMPLE, _HOLE = 1, 2
_MAX = (1 << 50) - 1  # the largest number, plus one
_JUMP = 1 << 49


def _no_fence():
    pass


def _find_fence(machine=None, library=None):
    """Gives what stands between two loads that must not be reordered. The
    arguments are for tests."""
    machine = machine or platform.machine()
    if machine in ("x86_64", "AMD64"):
        return _no_fence
    try:
        import ctypes
        import ctypes.util

        name = library or ctypes.util.find_library("atomic") or "libatomic.so.1"
        fence = ctypes.CDLL(name).atomic_thread_fence
        fence.argtypes, fence.restype = [ctypes.c_int], None
        acquire = 2  # memory_order_acquire
        return lambda: fence(acquire)
    except (ImportError, OSError, AttributeError) as err:
        raise LibatomicMissing(
            "on %s loads are reordered, and the fence against it is in libatomic, which is not there (%s): install it (libatomic1)" % (machine, err)
        ) from None


def _check_header(b, kind, size, what):
    """Checks a private copy of a header; gives its fields."""
    (magic, version, least, features, header_size, is_kind, file_size, instance,
     pid, start, namespace, boot, made, uid, topic, ready) = _HEADER.unpack_from(b, 0)
    if magic != b"shmtopic":
        raise Corrupt("%s: it starts with %r, not with b'shmtopic'" % (what, magic))
    if ready != _READY:
        raise Corrupt("%s: it was never completed" % what)
    if version == 0 or least == 0 or least > version:
        raise Corrupt("%s: layout version %d, readable from %d on, cannot be" % (what, version, least))
    if least > VERSION:
        raise Version("%s: the layout is version %d, readable from version %d on, and this program knows version %d: use a newer version of it" % (what, version, least, VERSION))
    unknown = features & 0xFFFFFFFF & ~FEATURES
    if unknown:
        raise Version("%s: the layout is version %d with features %#x, which this program, of version %d, does not know: use a newer version of it" % (what, version, unknown, VERSION))
    if is_kind != kind:
        raise Corrupt("%s: it is of kind %d, not %d" % (what, is_kind, kind))
    if header_size != _PAGE:
        raise Corrupt("%s: the header says that it has %d bytes, not %d" % (what, header_size, _PAGE))
    if file_size < _PAGE or file_size > size:
        raise Corrupt("%s: the header says that the file has %d bytes, and it has %d" % (what, file_size, size))
    return {"size": file_size, "instance": instance, "topic": topic, "pid": pid, "start": start, "namespace": namespace, "boot": boot}


class _Config:
    """How a topic is made, checked against the size of its file."""

    def __init__(self, b, size):
        (self.slots, self.capacity, self.headers, self.header_stride, self.payloads, self.payload_stride,
         self.align, self.table, self.hot, self.subscribers, self.held, self.policy, type_length,
         self.patience, self.type_hash, name) = _CONFIG.unpack_from(b, _CONFIG_AT)
        n, m, k = self.slots, self.subscribers, self.held

        def need(ok, text):
            if not ok:
                raise Corrupt("data: " + text + " cannot be")

        need(2 <= n <= 1 << 24 and n & (n - 1) == 0, "%d slots" % n)
        need(1 <= m <= 4096, "a table of %d entries" % m)
        need(1 <= k <= 64 and n > m * k + 1, "%d slots for %d subscribers that hold %d samples each" % (n, m, k))
        need(self.policy in (1, 2), "policy %d" % self.policy)
        need(self.patience >= -1, "a patience of %d ns" % self.patience)
        need(1 <= self.align <= 4096 and self.align & (self.align - 1) == 0, "payloads aligned to %d bytes" % self.align)
        need(1 <= self.capacity <= size, "payloads of %d bytes in a file of %d" % (self.capacity, size))
        need(type_length <= 192, "the name of a type with %d bytes" % type_length)
        need(self.header_stride >= _SLOT_LEAST and self.header_stride % 8 == 0, "slot headers every %d bytes" % self.header_stride)
        need(self.payload_stride >= self.capacity and self.payload_stride % self.align == 0, "payloads every %d bytes" % self.payload_stride)
        try:
            self.type = name[:type_length].decode("utf-8")
        except UnicodeDecodeError:
            raise Corrupt("data: the name of its type is not UTF-8") from None
        need("\0" not in self.type, "a type's name with a zero byte")
        sections = [
            ("hot lines", self.hot, _HOT_SIZE, _LINE),
            ("table", self.table, m * _ENTRY_SIZE, _LINE),
            ("slot headers", self.headers, n * self.header_stride, 8),
            ("payloads", self.payloads, n * self.payload_stride, self.align),
        ]
        for i, (what, off, length, align) in enumerate(sections):
            if off < _PAGE or off + length > size:
                raise Corrupt("data: the %s are not inside the file" % what)
            if off % align:
                raise Corrupt("data: the %s are not aligned to %d bytes" % (what, align))
            for other, at, bytes_, _ in sections[:i]:
                if off < at + bytes_ and at < off + length:
                    raise Corrupt("data: the %s overlap the %s" % (what, other))


def _check_name(name):
    encoded = name.encode("utf-8", "surrogateescape")
    try:
        encoded.decode("utf-8")
    except UnicodeDecodeError:
        raise Error("%r cannot be the name of a topic: it is not UTF-8" % name) from None
    if not 1 <= len(encoded) <= 200 or name.startswith(".") or any(c == "/" or c < " " or "\x7f" <= c < "\xa0" for c in name):
        raise Error("%r cannot be the name of a topic: 1 to 200 bytes of UTF-8, no slash, no control character, no dot first" % name)


def _open_checked(dir_fd, dir_stat, name, least):
    """Opens a file of the topic without following or waiting; gives the
    descriptor and its size."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=dir_fd)
    except OSError as err:
        if err.errno == errno.ELOOP:
            raise Corrupt("%s is a symbolic link" % name) from None
        if err.errno == errno.ENXIO:
            raise Corrupt("%s is a FIFO, a socket or a device" % name) from None
        if err.errno in (errno.EACCES, errno.EPERM):
            raise Permission("%s: %s" % (name, os.strerror(err.errno))) from None
        if err.errno == errno.ENOENT:
            raise NotFound("%s is missing" % name) from None
        raise Error("%s: %s" % (name, os.strerror(err.errno))) from None
    st = os.fstat(fd)
    why = None
    if not stat.S_ISREG(st.st_mode):
        why = "%s is a FIFO, a directory or a device, and no file" % name
    elif st.st_dev != dir_stat.st_dev:
        why = "%s is on another file system than its directory" % name
    elif st.st_uid != dir_stat.st_uid:
        why = "%s belongs to uid %d, not to uid %d" % (name, st.st_uid, dir_stat.st_uid)
    elif st.st_size < least:
        why = "%s has %d bytes, at least %d are needed" % (name, st.st_size, least)
    if why:
        os.close(fd)
        raise Corrupt(why)
    return fd, st.st_size


class Observer:
    """Reads a topic without joining it.

    Observer(name, start=NEXT, dir="/dev/shm", owner_gone=None) opens it.
    owner_gone is how many seconds without a publisher next waits for another
    one before it raises OwnerDied; None: for ever. It is an iterator over
    samples, which ends with the topic, and a context manager.

    One thread at a time uses it."""

    def __init__(self, name, start=NEXT, dir="/dev/shm", owner_gone=None):
        self._dir = self._map = self._words = None
        if struct.calcsize("P") != 8 or sys.byteorder != "little":
            raise Error("topics are for 64-bit little-endian machines")
        _check_name(name)
        self._fence = _find_fence()
        self.path = os.path.join(dir, name + ".topic")
        self._owner_gone, self._looked, self._died = owner_gone, 0.0, None
        try:
            for _ in range(100):
                if self._open():
                    break
            else:
                raise Removed("%s came and went while it was opened" % self.path)
            self._begin(start)
        except BaseException:
            self.close()
            raise

    def _open(self):
        try:
            self._dir = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as err:
            if err.errno == errno.ENOENT:
                raise NotFound("there is no topic at %s" % self.path) from None
            if err.errno in (errno.EACCES, errno.EPERM):
                raise Permission("%s: %s" % (self.path, os.strerror(err.errno))) from None
            if err.errno in (errno.ENOTDIR, errno.ELOOP):
                raise Corrupt("%s is not a directory" % self.path) from None
            raise Error("%s: %s" % (self.path, os.strerror(err.errno))) from None
        self._stat = os.fstat(self._dir)
        if stat.S_IMODE(self._stat.st_mode) not in (0o700, 0o3770, 0o3777, 0o755):
            raise Corrupt("%s has mode %#o, which no topic has" % (self.path, stat.S_IMODE(self._stat.st_mode)))
        try:
            fd, size = _open_checked(self._dir, self._stat, "data", _PAGE)
        except NotFound:
            if not self._named():
                os.close(self._dir)
                self._dir = None
                return False
            raise Corrupt("%s: the file data is missing" % self.path) from None
        self._data = fd
        try:
            # Read, not mapped: a file that is cut short just now gives fewer
            # bytes, and no SIGBUS.
            b = os.pread(fd, 512, 0)
            if len(b) < 512:
                raise Truncated("%s/data was cut short" % self.path)
            header = _check_header(b, _DATA, size, "data")
            self.config = _Config(b, header["size"])
            self._topic, self._size = header["instance"], header["size"]
            self._map = mmap.mmap(fd, header["size"], flags=mmap.MAP_SHARED, prot=mmap.PROT_READ)
            self._words = memoryview(self._map)[:header["size"] & ~7].cast("Q")
            if hasattr(mmap, "MADV_DONTFORK") and hasattr(self._map, "madvise"):
                self._map.madvise(mmap.MADV_DONTFORK)
        finally:
            if self._map is None:
                os.close(fd)
                self._data = None
        return True

    def _begin(self, start):
        head = self._word(_HEAD)
        if head >= _MAX:
            raise Corrupt("the head is %d" % head)
        self._head = head
        self._at = {OLDEST: max(head - self.config.slots, 0), NEWEST: max(head - 1, 0)}.get(start, head)
        # The sequence of the next sample, if it is known: what is overwritten
        # from here on is lost too.
        self._next = 0 if self._at == 0 else None
        for c in range(self._at, head):
            if self._next is not None:
                break
            self._next = self._sequence(c)
        if self._at == head and head > 0:
            before = self._sequence(head - 1)
            self._next = None if before is None else before + 1

    def _word(self, off):
        """One aligned word of the hot lines; one load."""
        return self._words[self.config.hot + off >> 3]

    def _believe(self, stamp, c):
        """Whether a stamp says that its slot holds sample c, by the publisher
        whose number c is."""
        return stamp & 3 == _SAMPLE and stamp >> 2 & _MAX == c and self._right_epoch(stamp, c)

    def _right_epoch(self, stamp, c):
        self._fence()
        since = self._word(_SINCE)  # after the stamp
        return (stamp >> 52 == since >> 52) == (c >= (since >> 2 & _MAX))

    def _slot(self, c):
        """The index of the first word before the payload of number c."""
        return self.config.headers + (c & self.config.slots - 1) * self.config.header_stride >> 3

    def _sequence(self, c):
        words, at = self._words, self._slot(c)
        stamp = words[at]
        if not self._believe(stamp, c):
            return None
        seq = words[at + 1]
        self._fence()
        return seq if words[at] == stamp else None

    def _copy(self, c):
        """A copy of number c and None, or None and the stamp that was there."""
        words, at, config = self._words, self._slot(c), self.config
        stamp = words[at]
        if not self._believe(stamp, c):
            return None, stamp
        seq, length, flags, when, word = words[at + 1], words[at + 2], words[at + 3] & 0xFFFFFFFF, words[at + 4], words[at + 5]
        data = b""
        if length <= config.capacity:
            p = config.payloads + (c & config.slots - 1) * config.payload_stride
            data = self._map[p:p + length]
        self._fence()
        if words[at] != stamp:
            return None, 0
        if length > config.capacity:
            self._at = c + 1
            raise Corrupt("sample %d says that it is longer than its slot" % c)
        return Sample(data, c, seq, 0, when - (when >> 63 << 64), word, flags), None

    def _check_size(self):
        """A file that was cut short would be SIGBUS: looked at before each
        run of samples, which leaves a moment, and no more."""
        if self._map is None:
            raise Error("the topic is closed")
        if os.fstat(self._data).st_size < self._size:
            raise Truncated("%s/data was cut short" % self.path)

    def poll(self):
        """Gives the next sample, or None if there is none now; EOFError at the
        end of the topic."""
        self._check_size()
        return self._poll()

    def _poll(self):
        config = self.config
        for _ in range(2 * config.slots):
            c = self._at
            if c >= self._head:
                head = self._word(_HEAD)
                self._fence()
                if head < self._head or head - self._head > _JUMP:
                    raise Corrupt("the head went from %d to %d" % (self._head, head))
                self._head = head
                if c >= head:
                    end = self._word(_END)
                    if end != 0 and end - 1 <= c:
                        raise EOFError("the topic has ended")
                    return None
            sample, stamp = self._copy(c)
            if sample is not None:
                if self._next is not None and sample.seq > self._next:
                    sample.missed = sample.seq - self._next
                self._next = sample.seq + 1
                self._at = c + 1
                return sample
            if stamp & 3 == _HOLE and stamp >> 2 & _MAX == c and self._right_epoch(stamp, c):
                self._at = c + 1
                continue
            # Overwritten: go where there is some time before the publisher
            # comes round again.
            head = self._word(_HEAD)
            self._fence()
            if head > self._head and head - self._head <= _JUMP:
                self._head = head
            following = max(self._head - config.slots + max(config.slots // 8, 1), c + 1)
            self._at = min(following, max(self._head, c + 1))
        return None

    def next(self, timeout=None):
        """Gives the next sample, and waits for it at most timeout seconds, for
        ever where that is None. TimeoutError; EOFError at the end."""
        sample = self.poll()
        if sample is not None:
            return sample
        deadline = None if timeout is None else time.monotonic() + timeout
        pause = 50e-6
        while True:
            now = time.monotonic()
            if deadline is not None:
                if now >= deadline:
                    raise TimeoutError("no sample in %s s" % timeout)
                pause = min(pause, deadline - now)
            self._look_out(now)
            time.sleep(pause)
            pause = min(2 * pause, 10e-3)
            sample = self.poll()
            if sample is not None:
                return sample

    def latest(self):
        """Gives the newest sample, whatever was taken before, and takes
        nothing. None: there is none, or it is overwritten too fast."""
        self._check_size()
        for _ in range(100):
            head = self._word(_HEAD)
            self._fence()
            for c in range(head - 1, max(head - self.config.slots, 0) - 1, -1):
                sample, stamp = self._copy(c)
                if sample is not None:
                    return sample
                if stamp & 3 != _HOLE or stamp >> 2 & _MAX != c:
                    break
            if head == 0:
                return None
        return None

    def __iter__(self):
        return self

    def __next__(self):
        try:
            return self.next()
        except EOFError:
            raise StopIteration from None

    def _named(self):
        try:
            st = os.lstat(self.path)
        except FileNotFoundError:
            return False
        return (st.st_dev, st.st_ino) == (self._stat.st_dev, self._stat.st_ino)

    def _look_out(self, now):
        """Once a second: the name, and the publisher if that was asked for."""
        every = 1.0
        if self._owner_gone is not None:
            every = min(every, max(self._owner_gone / 4, 0.01))
        if now - self._looked < every:
            return
        self._looked = now
        if not self._named():
            raise Removed("%s was removed or stands for another topic: open it again" % self.path)
        if self._owner_gone is None:
            return
        if self.publisher_alive():
            self._died = None
        elif self._died is None:
            self._died = now
        elif now - self._died >= self._owner_gone:
            raise OwnerDied("%s has had no publisher for %.3f s" % (self.path, now - self._died))

    def publisher_alive(self):
        """Whether a publisher of the topic lives: it holds the lock on its own
        file (which a child that it forked may have kept)."""
        for name in os.listdir(self._dir):
            if not name.startswith("p.") or len(name) != 34:
                continue
            try:
                fd, size = _open_checked(self._dir, self._stat, name, _PAGE)
            except Error:
                continue
            try:
                header = _check_header(os.pread(fd, 512, 0).ljust(512, b"\0"), _PUBLISHER_FILE, size, name)
                if header["topic"] == self._topic and _locked(fd) and not _gone(header):
                    return True
            except Error:
                continue
            finally:
                os.close(fd)
        return False

    def close(self):
        """Unmaps the memory. Samples stay as they are."""
        if self._map is not None:
            self._words.release()
            self._map.close()
            os.close(self._data)
            self._map = self._words = self._data = None
        if self._dir is not None:
            os.close(self._dir)
            self._dir = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _locked(fd):
    """Whether a write lock stands on the first byte (F_OFD_GETLK)."""
    import fcntl

    lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, 0, 1, 0)
    got = fcntl.fcntl(fd, 36, lock)  # F_OFD_GETLK
    return struct.unpack_from("h", got)[0] != fcntl.F_UNLCK


def _gone(header):
    """Whether the maker of a file is a process of this pid namespace and boot
    that is gone."""
    try:
        namespace = os.stat("/proc/self/ns/pid").st_ino
        with open("/proc/sys/kernel/random/boot_id") as f:
            boot = bytes.fromhex(f.read().strip().replace("-", ""))
    except (OSError, ValueError):
        return False
    if header["namespace"] != namespace or header["boot"] != boot or not 0 < header["pid"] < 1 << 31:
        return False
    try:
        os.kill(header["pid"], 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def main(args=None):
    """The command: print what comes."""
    import argparse

    parser = argparse.ArgumentParser(prog="shmtopic", description="Observe a topic in shared memory and print its samples.")
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--from", dest="start", choices=[NEXT, OLDEST, NEWEST], default=NEXT, help="where to begin (next)")
    parser.add_argument("-n", "--count", type=int, default=0, help="end after so many samples")
    parser.add_argument("--raw", action="store_true", help="write the samples themselves, one behind the other")
    parser.add_argument("--owner-gone", type=float, metavar="SECONDS", help="give up when nobody has published the topic for so long")
    parser.add_argument("--dir", default="/dev/shm", help="where topics are (/dev/shm)")
    o = parser.parse_args(args)
    out = sys.stdout.buffer
    try:
        with Observer(o.name, start=o.start, dir=o.dir, owner_gone=o.owner_gone) as topic:
            for n, sample in enumerate(topic, 1):
                if o.raw:
                    out.write(sample.data)
                else:
                    text = repr(sample.data[:64])[1:] + ("..." if len(sample.data) > 64 else "")
                    lost = " (%d lost before it)" % sample.missed if sample.missed else ""
                    out.write(("%d  %d bytes%s  %s\n" % (sample.seq, len(sample.data), lost, text)).encode())
                out.flush()
                if n == o.count:
                    break
    except Error as err:
        print("shmtopic: %s" % err, file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
