"""An observer in Python for the tests; see peer.c.

    observer.py observe NAME FROM REPORT
    observer.py look NAME
    observer.py rate NAME COUNT             takes COUNT samples as fast as it can
    observer.py flip NAME STEP FROM TO ...  see flip
    observer.py fence MACHINE [LIBRARY]     which fence there is on that machine
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
sys.dont_write_bytecode = True

import shmtopic


def say(text):
    print(text, flush=True)


def check(data):
    i = int.from_bytes(data[:8], "little")
    want = data[:8] + bytes((i * 31 + k) & 255 for k in range(8, 8 + i * 7 % 249))
    if len(data) < 8 or data != want:
        raise SystemExit("torn: %d bytes that say they are sample %d" % (len(data), i))
    return i


def observe(name, start, report="0"):
    report = int(report)
    taken = lost = following = 0
    with shmtopic.Observer(name, start=start) as topic:
        say("observing")
        for sample in topic:
            i = check(sample.data)
            if i != sample.seq or sample.word != i or sample.flags != i & 0xFFFFFFFF:
                raise SystemExit("sample %d has sequence %d, word %d" % (i, sample.seq, sample.word))
            if taken and sample.seq != following + sample.missed:
                raise SystemExit("after %d came %d, with %d missed" % (following, sample.seq, sample.missed))
            following = sample.seq + 1
            lost += sample.missed
            taken += 1
            if report and taken % report == 0:
                say("at %d" % taken)
    say("took %d, lost %d, next %d" % (taken, lost, following))


def look(name):
    with shmtopic.Observer(name) as topic:
        c = topic.config
        say('%d slots of %d bytes, aligned to %d, %d subscribers hold %d, policy %d, patience %d, type "%s", features 0' % (
            c.slots, c.capacity, c.align, c.subscribers, c.held, c.policy, c.patience, c.type))
        m = topic.latest()
        if m is None:
            say("SHM_TOPIC_EEMPTY")
        else:
            say('sample %d, number %d: "%s", word %d, flags %d' % (m.seq, m.number, m.data.decode(), m.word, m.flags))


def rate(name, count):
    count = int(count)
    with shmtopic.Observer(name) as topic:
        say("observing")
        topic.next()
        begun = time.perf_counter()
        lost = 0
        for _ in range(count):
            lost += topic.next().missed
        spent = time.perf_counter() - begun
    say("%d samples a second, lost %d" % (count / spent, lost))


def drain(topic):
    """Everything that is there, at most a few rounds of it."""
    for _ in range(4 * topic.config.slots):
        try:
            sample = topic.poll()
        except EOFError:
            break
        if sample is None:
            break
        if len(sample.data) > topic.config.capacity:
            raise SystemExit("sample %r of %d bytes at most" % (sample, topic.config.capacity))
    topic.latest()


def flip(name, step, *bounds):
    """Opens and reads the topic with one bit of its data flipped, see flip.c:
    that must be an error of this module, or valid data."""
    step, bounds = int(step), [int(b) for b in bounds]
    ranges = list(zip(bounds[::2], bounds[1::2]))

    def chosen(bit):
        inside = any(a <= bit // 8 < b for a, b in ranges)
        return bit % (step if inside else 101 * step) == 0

    path = "/dev/shm/%s.topic/data" % name
    good = errors = 0
    with open(path, "r+b", buffering=0) as f:
        original = f.read()
        for bit in filter(chosen, range(8 * len(original))):
            at = bit // 8
            os.pwrite(f.fileno(), bytes([original[at] ^ 1 << bit % 8]), at)
            for start in (shmtopic.OLDEST, shmtopic.NEWEST):
                try:
                    with shmtopic.Observer(name, start=start) as topic:
                        drain(topic)
                    good += 1
                except shmtopic.Error as err:
                    if not str(err):
                        raise SystemExit("an error without a text at bit %d" % bit)
                    errors += 1
            os.pwrite(f.fileno(), original[at:at + 1], at)
    say("flipped: %d read, %d errors" % (good, errors))


def fence(machine, library=None):
    try:
        shmtopic._find_fence(machine, library)()
        say("fenced")
    except shmtopic.LibatomicMissing as err:
        say("LibatomicMissing: %s" % err)


if __name__ == "__main__":
    verbs = {"observe": observe, "look": look, "rate": rate, "flip": flip, "fence": fence}
    try:
        verbs[sys.argv[1]](*sys.argv[2:])
    except shmtopic.Error as err:
        say("%s" % type(err).__name__)
        raise SystemExit(str(err))
