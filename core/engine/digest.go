package engine

import (
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"github.com/parley-ike/parley/core/machine"
)

// Digest sums up effects: what was sent, octet for octet, and what was called, cancelled and told, secrets included. Equal effects
// have equal digests; others have different ones but for chance, which is all it is good for: it is no defence against malice.
func Digest(effects []machine.Effect) uint64 {
	d := digest(fnvOffset)
	for _, effect := range effects {
		if _, ok := effect.(machine.Export); ok { // a replay gives no keys away
			continue
		}
		d.text(reflect.TypeOf(effect).Name())
		if spawn, ok := effect.(machine.Spawn); ok { // the machine will be judged by its own effects
			d.number(uint64(spawn.Owner))
			continue
		}
		d.value(reflect.ValueOf(effect))
	}
	return uint64(d)
}

// digest is an FNV-1a sum of octets and of whole numbers.
type digest uint64

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// number mixes in all bits; the shift brings the upper ones down, which a multiplication only carries up.
func (d *digest) number(n uint64) {
	x := (uint64(*d) ^ n) * fnvPrime
	*d = digest(x ^ x>>32)
}

func (d *digest) octets(b []byte) {
	d.number(uint64(len(b)))
	x := uint64(*d)
	for _, c := range b {
		x = (x ^ uint64(c)) * fnvPrime
	}
	*d = digest(x)
}

func (d *digest) text(s string) {
	d.number(uint64(len(s)))
	x := uint64(*d)
	for i := range len(s) {
		x = (x ^ uint64(s[i])) * fnvPrime
	}
	*d = digest(x)
}

func (d *digest) addr(a netip.Addr) {
	b := a.As16()
	d.number(uint64(a.BitLen())) // tells IPv4, IPv6 and none
	d.octets(b[:])
	d.text(a.Zone())
}

var (
	addrType     = reflect.TypeFor[netip.Addr]()
	addrPortType = reflect.TypeFor[netip.AddrPort]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
	timeType     = reflect.TypeFor[time.Time]()
)

// value mixes in all of v.
func (d *digest) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			d.number(1)
		} else {
			d.number(0)
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		d.number(uint64(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		d.number(v.Uint())
	case reflect.String:
		d.text(v.String())
	case reflect.Slice, reflect.Array:
		d.list(v)
	case reflect.Struct:
		d.fields(v)
	case reflect.Interface, reflect.Pointer:
		d.behind(v)
	default: // no effect has any
		panic(fmt.Sprintf("engine: the digest of %v is not defined", v.Type()))
	}
}

func (d *digest) list(v reflect.Value) {
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
		d.octets(v.Bytes())
		return
	}
	d.number(uint64(v.Len()))
	for i := range v.Len() {
		d.value(v.Index(i))
	}
}

func (d *digest) fields(v reflect.Value) {
	switch v.Type() {
	case addrType:
		d.addr(v.Interface().(netip.Addr))
		return
	case addrPortType:
		at := v.Interface().(netip.AddrPort)
		d.addr(at.Addr())
		d.number(uint64(at.Port()))
		return
	case prefixType:
		p := v.Interface().(netip.Prefix)
		d.addr(p.Addr())
		d.number(uint64(p.Bits()))
		return
	case timeType:
		d.number(uint64(v.Interface().(time.Time).UnixNano()))
		return
	}
	for i := range v.NumField() {
		d.value(v.Field(i))
	}
}

// behind mixes in what an interface holds, with its type, or what a pointer points at.
func (d *digest) behind(v reflect.Value) {
	if v.IsNil() {
		d.number(0)
		return
	}
	v = v.Elem()
	d.text(v.Type().Name())
	d.value(v)
}
