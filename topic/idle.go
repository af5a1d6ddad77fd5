package topic

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// idle calls Poll for a publisher that publishes now and then only.
type idle struct {
	mu   sync.Mutex // held by whoever uses the publisher
	quit chan struct{}
	done chan struct{}
}

func (p *Publisher) startIdle(every time.Duration) {
	p.idle = &idle{quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(p.idle.done)
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-p.idle.quit:
				return
			case <-t.C:
			}
			if !p.tick() {
				return
			}
		}
	}()
}

// tick is false when there is no need to go on.
func (p *Publisher) tick() bool {
	p.enter()
	defer p.leave()
	if p.closed {
		return false
	}
	err := p.housekeep(true)
	if err != nil && p.opts.Logger != nil {
		// Whoever publishes next gets it as well.
		p.opts.Logger.LogAttrs(context.Background(), slog.LevelWarn, "housekeeping failed",
			slog.String("topic", p.files.Name()), slog.Any("error", err))
	}
	return err == nil
}

// stopIdle is called without the lock.
func (p *Publisher) stopIdle() {
	if p.idle != nil {
		close(p.idle.quit)
		<-p.idle.done
		p.idle = nil
	}
}
