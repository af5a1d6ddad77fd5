package shmnet

import (
	"sync"

	"github.com/seed-298b2b26/shm/internal/mem"
	"github.com/seed-298b2b26/shm/memfd"
)

// heapSource hands out memory from the heap. What travels over the socket is
// a memfd of the same size, whose inode stands for it.
type heapSource struct {
	mu   sync.Mutex
	made map[uint64]mem.Region
}

func newHeapSource() *heapSource { return &heapSource{made: make(map[uint64]mem.Region)} }

func (h *heapSource) make(name string, size int64) (*memory, *memfd.File, error) {
	f, err := memfd.CreateSized(name, size, &memfd.Options{Seals: needSeals, Sparse: true})
	if err != nil {
		return nil, nil, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	r := mem.Heap(int(size))
	h.mu.Lock()
	defer h.mu.Unlock()
	h.made[st.Inode] = r
	return newMemory(r, 1, nil), f, nil
}

func (h *heapSource) take(f *memfd.File, size int64) (*memory, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return newMemory(h.made[st.Inode], 1, nil), nil
}
