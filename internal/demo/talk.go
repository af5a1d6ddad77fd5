package demo

import (
	"context"
	"fmt"
	"os"

	"github.com/seed-298b2b26/shm"
	"github.com/seed-298b2b26/shm/posix"
)

// talkSysV is the first exercise: a parent and a child talk through a System
// V segment without a key.
func (d *Demo) talkSysV(ctx context.Context) error {
	d.title("System V: a parent and a child")
	s, err := shm.Create("sysv:private", mailboxSize, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	defer s.Remove()
	info, err := s.Info()
	if err != nil {
		return err
	}
	d.tell("shmget", "key IPC_PRIVATE, %d bytes, mode %04o: the kernel made segment id %d", info.Size, info.Mode.Perm(), info.SysV.ID)
	d.tell("shmat", "attached in process %d: nattch is %d", os.Getpid(), info.SysV.NAttach)
	return d.talk(ctx, s, func() error {
		info, err := s.Info()
		if err != nil {
			return err
		}
		d.tell("shmctl", "IPC_STAT: nattch is %d, created by %d, attached last by %d", info.SysV.NAttach, info.SysV.CPID, info.SysV.LPID)
		if err := s.Remove(); err != nil {
			return err
		}
		info, err = s.Info()
		if err != nil {
			return err
		}
		d.tell("shmctl", "IPC_RMID: marked to go with the last detach (mode %05o); both still have it", info.SysV.Mode)
		return nil
	}, func() error {
		if err := s.Close(); err != nil {
			return err
		}
		if _, err := shm.Stat(s.Address(), nil); err == nil {
			return fmt.Errorf("%s is still there", s.Address())
		}
		d.tell("shmdt", "detached, and segment %s is gone", s.Address())
		return nil
	})
}

// talkPOSIX is the second exercise: the same through a POSIX object.
func (d *Demo) talkPOSIX(ctx context.Context) error {
	d.title("POSIX: the same again")
	name := fmt.Sprintf("/shm-demo-%d", os.Getpid())
	s, err := shm.Create(name, mailboxSize, &shm.Options{Dir: d.Dir})
	if err != nil {
		return err
	}
	defer s.Close()
	gone := false
	defer func() {
		if !gone {
			s.Remove()
		}
	}()
	path, err := posix.Path(name, &posix.Options{Dir: d.Dir})
	if err != nil {
		return err
	}
	st, err := os.Stat(path)
	if err != nil {
		return err
	}
	d.tell("shm_open", "object %s is the file %s:\n%v %d bytes, %s", name, path, st.Mode(), st.Size(), st.ModTime().Format("Jan _2 15:04:05"))
	d.tell("mmap", "mapped shared in process %d", os.Getpid())
	return d.talk(ctx, s, func() error {
		gone = true
		if err := s.Remove(); err != nil {
			return err
		}
		d.tell("shm_unlink", "the name is gone from %s; both still have the memory", path)
		return nil
	}, func() error {
		if err := s.Close(); err != nil {
			return err
		}
		if _, err := os.Stat(path); err == nil {
			return fmt.Errorf("%s is still there", path)
		}
		d.tell("munmap", "unmapped, and the memory is gone")
		return nil
	})
}

// talk is the conversation, whatever the memory: the child speaks, the
// parent answers, the child says what it read. both is called when both have
// the memory, after when the child has ended.
func (d *Demo) talk(ctx context.Context, s *shm.Segment, both, after func() error) error {
	m, err := newMailbox(s)
	if err != nil {
		return err
	}
	p, err := d.start(ctx, nil, "child", s.Address(), d.Dir)
	if err != nil {
		return err
	}
	defer p.end()
	ctx, stop := p.watch(ctx)
	defer stop()
	text, err := m.read(ctx, turnChild)
	if err != nil {
		return err
	}
	d.tell("child", "%q  (written by %d, %d bytes, checksum %08x)", text, p.pid(), len(text), checksum(0, []byte(text)))
	if err := both(); err != nil {
		return err
	}
	answer := fmt.Sprintf("and hello to you from %d", os.Getpid())
	d.tell("parent", "%q  (checksum %08x)", answer, checksum(0, []byte(answer)))
	if err := m.write(turnParent, answer); err != nil {
		return err
	}
	if text, err = m.readLast(ctx); err != nil {
		return err
	}
	d.tell("child", "%s", text)
	if err := p.end(); err != nil {
		return err
	}
	return after()
}
