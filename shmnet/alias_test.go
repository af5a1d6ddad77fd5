package shmnet

import (
	"github.com/seed-298b2b26/shm/internal/sys"
	"github.com/seed-298b2b26/shm/memfd"
)

type memfdFile = memfd.File

var errNoSpace = sys.ErrNoSpace
