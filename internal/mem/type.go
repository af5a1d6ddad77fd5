package mem

import (
	"fmt"
	"reflect"
	"sync"
	"syscall"
)

// CountError tells of a slice that is not inside its region. It is EINVAL.
type CountError struct {
	Off   int64
	Count int
	Size  uintptr
	Len   int64
}

func (e *CountError) Error() string {
	return fmt.Sprintf("%d values of %d bytes at offset %d do not fit into %d bytes", e.Count, e.Size, e.Off, e.Len)
}

func (e *CountError) Unwrap() error { return syscall.EINVAL }

// TypeError tells why values of a type cannot stand in shared memory.
type TypeError struct {
	Type   reflect.Type
	Reason string
}

func (e *TypeError) Error() string {
	return fmt.Sprintf("%s cannot stand in shared memory: %s", e.Type, e.Reason)
}

var checked sync.Map // reflect.Type -> error, nil included

// CheckType refuses a T that has no fixed layout or that contains an address:
// pointers mean nothing in another process, and the collector does not see
// them there. int, uint and uintptr are refused because their size is the
// machine's choice.
func CheckType[T any]() error {
	t := reflect.TypeFor[T]()
	if e, ok := checked.Load(t); ok {
		err, _ := e.(error)
		return err
	}
	var err error
	if reason := unfit(t, ""); reason != "" {
		err = &TypeError{t, reason}
	} else if t.Size() == 0 {
		err = &TypeError{t, "it has no size"}
	}
	checked.Store(t, err)
	return err
}

// unfit says in words what is wrong with t, or nothing.
func unfit(t reflect.Type, path string) string {
	what := func(s string) string {
		if path == "" {
			return "it is " + s
		}
		return "field " + path + " is " + s
	}
	switch t.Kind() {
	case reflect.Bool,
		reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return ""
	case reflect.Int, reflect.Uint:
		return what("of type " + t.Kind().String() + ", whose size depends on the machine: use " + t.Kind().String() + "64 or " + t.Kind().String() + "32")
	case reflect.Uintptr:
		return what("an address, which means nothing in another process: use an offset of type uint64")
	case reflect.Array:
		return unfit(t.Elem(), path+"[]")
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			name := f.Name
			if path != "" {
				name = path + "." + name
			}
			if s := unfit(f.Type, name); s != "" {
				return s
			}
		}
		return ""
	}
	return what("a " + t.Kind().String() + ", which holds an address of this process: use offsets and arrays")
}
