package cli

import (
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"
)

// sizeValue is a flag for a number of bytes: 4096, 64K, 1.5M, 2GiB. Units
// count by 1024, as everywhere in the world of pages; kB, MB, GB and TB by
// 1000.
type sizeValue struct {
	n     int64
	set   bool
	least int64 // what is less is refused
}

func (v *sizeValue) String() string {
	if !v.set {
		return ""
	}
	return strconv.FormatInt(v.n, 10)
}

func (v *sizeValue) Type() string { return "bytes" }

func (v *sizeValue) Set(s string) error {
	n, err := parseSize(s)
	if err != nil {
		return err
	}
	if n < v.least {
		return fmt.Errorf("%q is too little: memory has 1 byte or more", s)
	}
	v.n, v.set = n, true
	return nil
}

var units = map[string]float64{
	"": 1, "B": 1,
	"K": 1 << 10, "KIB": 1 << 10, "KB": 1e3,
	"M": 1 << 20, "MIB": 1 << 20, "MB": 1e6,
	"G": 1 << 30, "GIB": 1 << 30, "GB": 1e9,
	"T": 1 << 40, "TIB": 1 << 40, "TB": 1e12,
}

func parseSize(s string) (int64, error) {
	// Whole numbers exactly, whatever their base and size.
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		if n < 0 {
			return 0, fmt.Errorf("%q is negative", s)
		}
		return n, nil
	}
	number := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	unit, known := units[strings.ToUpper(s[len(number):])]
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if !known || err != nil || math.IsNaN(f) || f < 0 {
		return 0, fmt.Errorf("%q is no size: write bytes, or 64K, 1.5M, 2G", s)
	}
	if f *= unit; f >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is more than any object can have", s)
	}
	if f != math.Trunc(f) {
		return 0, fmt.Errorf("%q is not a whole number of bytes", s)
	}
	return int64(f), nil
}

// modeValue is a flag for permissions, in octal as chmod has them.
type modeValue fs.FileMode

func (m *modeValue) String() string { return fmt.Sprintf("%04o", uint32(*m)) }
func (m *modeValue) Type() string   { return "octal" }

func (m *modeValue) Set(s string) error {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
	if err != nil || n > 0o777 {
		return fmt.Errorf("%q is no mode: write three octal digits, such as 640", s)
	}
	if n == 0 {
		return fmt.Errorf("mode 0 would let nobody open it")
	}
	if n&0o400 == 0 {
		return fmt.Errorf("mode %04o would not let its owner read it, and memory that cannot be read cannot be attached", n)
	}
	*m = modeValue(n)
	return nil
}
