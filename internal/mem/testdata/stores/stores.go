// Package stores stores into memory that others see, past the functions of
// package mem. TestStoresHavePoints looks for the lines that say so.
package stores

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/seed-298b2b26/shm/internal/mem"
)

type line struct {
	a, b uint64
	c    [4]uint32
}

type view struct {
	line  *line
	words []uint64
	word  *uint32
	bytes []byte
	own   [4]uint64
	count uint32
}

func newView(r mem.Region) (*view, error) {
	v := &view{bytes: r.Bytes()[8:]}
	var err error
	if v.line, err = mem.Pointer[line](r, 0); err != nil {
		return nil, err
	}
	v.word, err = mem.Pointer[uint32](r, 0)
	if v.words, err = mem.Slice[uint64](r, 0, 8); err != nil {
		return nil, err
	}
	return v, nil
}

func (v *view) stores(r mem.Region) {
	l := v.line
	l.a = 1        // a store
	l.b++          // a store
	l.c[2] |= 4    // a store
	*l = line{}    // a store
	v.words[3] = 1 // a store
	*v.word = 1    // a store
	v.bytes[0] = 1 // a store
	w := v.word
	*w = 2                                    // a store
	atomic.StoreUint32(v.word, 1)             // a store
	atomic.AddUint64(&v.words[1], 1)          // a store
	atomic.SwapUint64(&l.a, 1)                // a store
	copy(r.Bytes(), "text")                   // a store
	copy(v.bytes[1:], "text")                 // a store
	clear(v.words)                            // a store
	binary.LittleEndian.PutUint64(v.bytes, 1) // a store

	mem.Store(&l.a, 1)
	mem.StoreRelease64(&v.words[3], 1)
	mem.Copy(r.Bytes(), []byte("text"))
	v.own[0] = v.words[0]
	v.count++
	atomic.AddUint32(&v.count, 1)
	private := *l
	private.a = 1
	v.line, v.words = l, v.words[1:]
	b := make([]byte, 8)
	copy(b, r.Bytes())
	binary.LittleEndian.PutUint64(b, 1)
}
