package wait

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-298b2b26/shm/internal/procfs"
	"github.com/seed-298b2b26/shm/shmtest"
)

func threads(t testing.TB) int {
	t.Helper()
	st, err := procfs.Default.Status(procfs.Self)
	if err != nil {
		t.Fatal(err)
	}
	return st.Threads
}

// used is the processor time of this process so far.
func used(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestCrowd lets many goroutines wait for one object: they need no threads of
// their own, no processor while nothing happens, and all of them wake.
func TestCrowd(t *testing.T) {
	crowd := 10_000
	if raceEnabled || shmtest.Emulated() {
		crowd = 2_000
	}
	o := mapObject(t, memfd(t, 1), 0)
	s := o.sleeper(t, Config{})
	w := o.waker(t, false)
	before := threads(t)
	done := make(chan error)
	for i := range crowd {
		go func() { done <- s.Wait(t.Context(), o.past(uint64(1+i%10))) }()
	}
	eventually(t, "all wait", func() bool { return s.asleep() && s.sitting() == crowd-1 })
	if n := threads(t) - before; n > 8 {
		t.Errorf("%d threads more for %d goroutines that wait", n, crowd)
	} else {
		t.Logf("%d threads more for %d goroutines that wait", n, crowd)
	}
	idle := 500 * time.Millisecond
	if raceEnabled || shmtest.Emulated() {
		idle = 0
	}
	cpu := used(t)
	time.Sleep(idle) // what is measured is that nothing happens
	if cpu = used(t) - cpu; cpu > idle/10 && idle > 0 {
		t.Errorf("%v of processor time in %v of waiting", cpu, idle)
	} else {
		t.Logf("%v of processor time in %v of waiting", cpu, idle)
	}
	begun := time.Now()
	for i := range 10 {
		o.publish(w, uint64(i+1))
		for range crowd / 10 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("woken within %v", time.Since(begun))
	if st := s.Stats(); st.Late > 0 { // some are stolen when a bound and a wake-up meet
		t.Errorf("wake-ups were lost: %+v", st)
	}
}

// TestStress lets everything happen at once, on memory that the race detector
// sees: waits that end well, that are cancelled, that time out.
func TestStress(t *testing.T) {
	waitv(t, func(t *testing.T, way func(*Sleeper)) {
		limit := time.Second
		if testing.Short() {
			limit = 200 * time.Millisecond
		}
		o := heapObject(t)
		s := o.sleeper(t, Config{Bound: 10 * time.Second})
		way(s)
		w := o.waker(t, false)
		var stop atomic.Bool
		var wg sync.WaitGroup
		var woken, cancelled atomic.Uint64
		for range 8 {
			wg.Go(func() {
				for !stop.Load() {
					ctx, cancel := context.WithCancel(t.Context())
					switch rand.IntN(4) {
					case 0:
						go cancel()
					case 1:
						ctx, cancel = context.WithTimeout(t.Context(), time.Duration(rand.IntN(2000))*time.Microsecond)
					}
					n := *o.headNow() + 1 + rand.Uint64N(3)
					switch err := s.Wait(ctx, o.past(n)); {
					case err == nil:
						if !o.past(n)() {
							t.Error("woken too early")
						}
						woken.Add(1)
					case errors.Is(err, ctx.Err()) && ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
						cancelled.Add(1)
					default:
						t.Error(err)
					}
					cancel()
				}
			})
		}
		n := uint64(0)
		for end := time.Now().Add(limit); time.Now().Before(end); {
			n++
			o.publish(w, n)
			for range rand.IntN(3000) {
				atomic.LoadUint32(o.flag)
			}
			if n%1000 == 0 {
				time.Sleep(time.Millisecond) // let all of them go to sleep
			}
		}
		stop.Store(true)
		gone := make(chan bool)
		go func() {
			wg.Wait()
			close(gone)
		}()
		for over := false; !over; {
			n++
			o.publish(w, n) // for who has just begun once more
			select {
			case <-gone:
				over = true
			case <-time.After(time.Millisecond):
			}
		}
		st := s.Stats()
		if st.Late+st.Stolen > 0 {
			t.Errorf("wake-ups were lost: %+v", st)
		}
		t.Logf("%d published, %d woken, %d cancelled, %+v", n, woken.Load(), cancelled.Load(), st)
		if st.Sleeps == 0 {
			t.Error("nobody ever slept")
		}
	})
}

// headNow gives the head in a word of its own.
func (o *object) headNow() *uint64 {
	n := atomic.LoadUint64(o.head)
	return &n
}

// TestCancelLatency measures how long a wait goes on after its context has
// ended.
func TestCancelLatency(t *testing.T) {
	waitv(t, func(t *testing.T, way func(*Sleeper)) {
		for name, companions := range map[string]int{"alone": 0, "in company": 3} {
			o := heapObject(t)
			s := o.sleeper(t, Config{Bound: time.Hour})
			way(s)
			all, stop := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for range companions {
				wg.Go(func() { s.Wait(all, o.past(1)) })
			}
			if companions > 0 {
				eventually(t, "company", func() bool { return s.sitting() == companions-1 && s.asleep() })
			}
			var took []time.Duration
			for range 50 {
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan time.Time)
				go func() {
					s.Wait(ctx, o.past(1))
					done <- time.Now()
				}()
				eventually(t, "sleeping", func() bool {
					n := s.sitting()
					return n == companions && s.asleep()
				})
				time.Sleep(200 * time.Microsecond) // into the system call itself
				begun := time.Now()
				cancel()
				took = append(took, (<-done).Sub(begun))
			}
			stop()
			wg.Wait()
			slices.Sort(took)
			t.Logf("%s: %v, 99 %%: %v", name, took[len(took)/2], took[len(took)*99/100])
			if m := took[len(took)/2]; m > time.Millisecond && !raceEnabled && !shmtest.Emulated() {
				t.Errorf("%s: half of the waits went on for %v and more", name, m)
			}
		}
	})
}
