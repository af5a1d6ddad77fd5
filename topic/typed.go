package topic

import (
	"context"
	"crypto/sha256"
	"fmt"
	"reflect"
	"strings"

	"github.com/seed-298b2b26/shm/internal/mem"
)

// Of is a topic whose samples are values of type T, in place: no encoding, no
// copy. T must have one layout everywhere and hold no address (see shm.At).
// The topic remembers T's name and a hash of its layout; who subscribes with
// another type gets ErrType.
type Of[T any] struct{ _ [0]T }

// TypedPublisher publishes values of type T.
type TypedPublisher[T any] struct{ *Publisher }

// TypedSubscriber takes values of type T.
type TypedSubscriber[T any] struct{ *Subscriber }

// Create is the function Create for values of T; opts.Size and opts.Type are
// set by it.
func (Of[T]) Create(name string, opts *Options) (TypedPublisher[T], error) {
	if err := mem.CheckType[T](); err != nil {
		return TypedPublisher[T]{}, opError("create", name, fmt.Errorf("%w: %w", ErrType, err))
	}
	o := Options{}
	if opts != nil {
		o = *opts
	}
	t := reflect.TypeFor[T]()
	o.Size, o.Align = int(t.Size()), max(o.Align, 64)
	o.Type, o.TypeHash = typeName(t), typeHash(t)
	p, err := Create(name, &o)
	return TypedPublisher[T]{p}, err
}

// Subscribe is the function Subscribe for values of T.
func (Of[T]) Subscribe(ctx context.Context, name string, opts *SubscribeOptions) (TypedSubscriber[T], error) {
	o, err := typedOptions[T](name, opts)
	if err != nil {
		return TypedSubscriber[T]{}, err
	}
	s, err := Subscribe(ctx, name, o)
	return TypedSubscriber[T]{s}, err
}

// Observe is the function Observe for values of T.
func (Of[T]) Observe(ctx context.Context, name string, opts *SubscribeOptions) (TypedSubscriber[T], error) {
	o, err := typedOptions[T](name, opts)
	if err != nil {
		return TypedSubscriber[T]{}, err
	}
	s, err := Observe(ctx, name, o)
	return TypedSubscriber[T]{s}, err
}

func typedOptions[T any](name string, opts *SubscribeOptions) (*SubscribeOptions, error) {
	if err := mem.CheckType[T](); err != nil {
		return nil, opError("subscribe", name, fmt.Errorf("%w: %w", ErrType, err))
	}
	o := SubscribeOptions{}
	if opts != nil {
		o = *opts
	}
	t := reflect.TypeFor[T]()
	o.Type, o.TypeHash = typeName(t), typeHash(t)
	return &o, nil
}

// Value is a sample's value, in the topic's memory, until Release. What a
// publisher of another program wrote may be any bits: check what must hold.
func (TypedSubscriber[T]) Value(m Sample) (*T, error) {
	v, err := mem.Pointer[T](mem.Of(m.Data), 0)
	if err != nil {
		return nil, fmt.Errorf("the sample is not of the type: %w: %w", ErrType, err)
	}
	return v, nil
}

// Send publishes a copy of v.
func (p TypedPublisher[T]) Send(ctx context.Context, v T) error {
	l, to, err := p.Loan(ctx)
	if err != nil {
		return err
	}
	mem.Store(to, v)
	return l.Publish()
}

// Loan lends memory for one value, to be written and published.
func (p TypedPublisher[T]) Loan(ctx context.Context) (*Loan, *T, error) {
	var t T
	l, err := p.Publisher.Loan(ctx, int(reflect.TypeOf(t).Size()))
	if err != nil {
		return nil, nil, err
	}
	v, err := mem.Pointer[T](mem.Of(l.Bytes()), 0)
	if err != nil {
		l.Discard()
		return nil, nil, err
	}
	return l, v, nil
}

// typeName is what a person calls the type.
func typeName(t reflect.Type) string {
	name := t.String()
	if len(name) > 192 {
		name = name[:192]
	}
	return strings.ToValidUTF8(name, "?")
}

// typeHash is a hash of the layout: the kind, offset and size of every field,
// not their names, which other languages write otherwise. The text that is
// hashed is in spec/topic.md.
func typeHash(t reflect.Type) [32]byte { return sha256.Sum256([]byte(layout(t))) }

// layout writes a type as u8..u64, i8..i64, f32, f64, c64, c128, bool, [n]T,
// and structs as {offset:T;...size}.
func layout(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Array:
		return fmt.Sprintf("[%d]%s", t.Len(), layout(t.Elem()))
	case reflect.Struct:
		var b strings.Builder
		b.WriteByte('{')
		for i := range t.NumField() {
			f := t.Field(i)
			if f.Type.Size() == 0 {
				continue
			}
			fmt.Fprintf(&b, "%d:%s;", f.Offset, layout(f.Type))
		}
		fmt.Fprintf(&b, "%d}", t.Size())
		return b.String()
	case reflect.Bool:
		return "bool"
	case reflect.Float32, reflect.Float64:
		return fmt.Sprintf("f%d", t.Bits())
	case reflect.Complex64, reflect.Complex128:
		return fmt.Sprintf("c%d", t.Bits())
	}
	return strings.Replace(strings.Replace(t.Kind().String(), "uint", "u", 1), "int", "i", 1)
}
