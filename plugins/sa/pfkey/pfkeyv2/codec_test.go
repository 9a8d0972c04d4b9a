package pfkeyv2

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden octets anew")

func prefix(text string) *Address { return &Address{Prefix: netip.MustParsePrefix(text)} }

func dialects() []*Dialect {
	linux := Linux()
	linux.Order = binary.LittleEndian // golden octets are of one order
	return []*Dialect{linux, FreeBSD(), OpenBSD(), Darwin()}
}

// samples are messages of every kind. An SA's in tunnel mode over IPv4 and IPv6, policies, and what a kernel tells.
func samples() map[string]*Message {
	key, mac := bytes.Repeat([]byte{0xe1}, 16), bytes.Repeat([]byte{0xa1}, 20)
	association := Message{Type: Add, ESP: true, Seq: 7, PID: 42, SA: &SA{SPI: 0x12345678, Window: 32, State: Mature, Auth: 3, Encrypt: 12},
		SA2: &SA2{ModeTunnel, 0x2001}, Hard: &Lifetime{Allocations: 10, Bytes: 1 << 40, AddTime: 3600}, Soft: &Lifetime{Allocations: 8, Bytes: 1 << 39},
		Src: prefix("192.0.2.1/32"), Dst: prefix("192.0.2.2/32"), AuthKey: mac, EncrKey: key}
	six := association
	six.Src, six.Dst, six.NAT = prefix("2001:db8::1/128"), prefix("2001:db8::2/128"), &NAT{4500, 4501}
	policy := Message{Type: SPDAdd, Seq: 8, Src: &Address{AnyProto, netip.MustParsePrefix("10.1.0.0/16"), 0}, Dst: &Address{AnyProto, netip.MustParsePrefix("10.2.0.0/16"), 0},
		Policy: &Policy{Action: IPsec, Dir: DirOut, Priority: 1000, Requests: []Request{{ModeTunnel, 0x2001, netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")}}}}
	return map[string]*Message{
		"add": &association, "add-nat-6": &six, "policy": &policy,
		"policy-tcp": {Type: SPDDelete, Src: &Address{6, netip.MustParsePrefix("10.1.0.0/16"), 0}, Dst: &Address{6, netip.MustParsePrefix("10.2.0.1/32"), 443},
			Policy: &Policy{Action: IPsec, Dir: DirIn, Requests: []Request{{ModeTunnel, 7, netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.1")}}}},
		"getspi":   {Type: GetSPI, ESP: true, SA2: &SA2{ModeTunnel, 1}, Src: prefix("192.0.2.2/32"), Dst: prefix("192.0.2.1/32"), Range: &SPIRange{256, 1<<32 - 1}},
		"register": {Type: Register, ESP: true, Auths: []Algorithm{{3, 0, 160, 160}, {5, 0, 256, 256}}, Ciphers: []Algorithm{{12, 16, 128, 256}}},
		"expire": {Type: Expire, ESP: true, SA: &SA{SPI: 5, State: Dying}, Current: &Lifetime{Allocations: 9, Bytes: 900, AddTime: 1e9, UseTime: 1e9 + 1},
			Soft: &Lifetime{Bytes: 800}, Src: prefix("192.0.2.1/32"), Dst: prefix("192.0.2.2/32")},
		"error": {Type: Get, Errno: 3, ESP: true, Seq: 9, PID: 42},
	}
}

// Of what a dialect cannot say nothing comes back, so the sample is cut down to what it can.
func fits(d *Dialect, m *Message) *Message {
	c := *m
	if d.flows {
		c.SA2, c.Proxy = nil, nil
		for _, a := range []**Address{&c.Src, &c.Dst} {
			if x := *a; x != nil {
				cut := *x
				if cut.Proto == AnyProto || c.Policy == nil {
					cut.Proto = 0
				}
				*a = &cut
			}
		}
		if c.Policy != nil {
			p := *c.Policy
			p.Priority = 0
			p.Requests = []Request{p.Requests[0]}
			p.Requests[0].ReqID = 0
			c.Policy = &p
			if c.Type == SPDUpdate {
				c.Type = SPDAdd
			}
		}
	}
	if d.nat == natUDPEncap && c.NAT != nil {
		c.NAT = &NAT{DstPort: c.NAT.DstPort}
	}
	return &c
}

func TestMessagesHaveTheOctetsOfEachDialectAndComeBack(t *testing.T) {
	t.Parallel()
	for _, d := range dialects() {
		for name, m := range samples() {
			m = fits(d, m)
			got, err := d.Append(nil, m)
			if err != nil {
				t.Errorf("%s %s: %v", d.Name, name, err)
				continue
			}
			golden(t, filepath.Join("testdata", d.Name, name+".hex"), got)
			back, err := d.Parse(got)
			if err != nil {
				t.Errorf("%s %s: %v", d.Name, name, err)
				continue
			}
			if back.SA != nil {
				back.SA.Flags &^= openBSDTunnel | openBSDUDPEncap | darwinNATT
			}
			if !reflect.DeepEqual(back, m) {
				t.Errorf("%s %s comes back as\n%+v\nwant\n%+v", d.Name, name, back, m)
			}
		}
	}
}

// golden compares with octets in words of eight, a line each.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	var text strings.Builder
	for at := 0; at < len(got); at += word {
		text.WriteString(hex.EncodeToString(got[at:at+word]) + "\n")
	}
	if *update {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text.String()), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != text.String() {
		t.Errorf("%s: %v; the octets are\n%s", path, err, text.String())
	}
}

func TestEveryPrefixOfAMessageIsRefused(t *testing.T) {
	t.Parallel()
	for _, d := range dialects() {
		for name, m := range samples() {
			whole, err := d.Append(nil, fits(d, m))
			if err != nil {
				t.Fatal(err)
			}
			for n := range whole {
				if _, err := d.Parse(whole[:n]); err == nil {
					t.Errorf("%s %s: %d of %d octets are taken for a message", d.Name, name, n, len(whole))
				}
				cut := bytes.Clone(whole[:n]) // with a length that fits
				if n >= headerSize && n%word == 0 {
					d.Order.PutUint16(cut[4:], uint16(n/word))
					_, _ = d.Parse(cut)
				}
			}
		}
	}
}

// RFC 2367 section 2.3: an extension comes once.
func TestAnExtensionThatComesTwiceIsRefused(t *testing.T) {
	t.Parallel()
	d := Linux()
	b, err := d.Append(nil, samples()["expire"])
	if err != nil {
		t.Fatal(err)
	}
	twice := append(bytes.Clone(b), b[headerSize:headerSize+16]...)
	d.Order.PutUint16(twice[4:], uint16(len(twice)/word))
	if _, err := d.Parse(twice); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("%v", err)
	}
}

func TestAnExtensionThatIsNotKnownIsPassedOver(t *testing.T) {
	t.Parallel()
	d := Linux()
	m := samples()["expire"]
	b, err := d.Append(nil, m)
	if err != nil {
		t.Fatal(err)
	}
	more := append(bytes.Clone(b), make([]byte, word)...)
	d.Order.PutUint16(more[len(b):], 1)
	d.Order.PutUint16(more[len(b)+2:], 999)
	d.Order.PutUint16(more[4:], uint16(len(more)/word))
	if back, err := d.Parse(more); err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("%+v, %v", back, err)
	}
}

func TestWhatADialectCannotSayIsAnError(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		d *Dialect
		m Message
	}{
		"migration in FreeBSD":          {FreeBSD(), Message{Type: Migrate}},
		"a mapping in OpenBSD":          {OpenBSD(), Message{Type: NewMapping}},
		"a forwarding policy in Darwin": {Darwin(), Message{Type: SPDAdd, Policy: &Policy{Dir: DirFwd}}},
		"a large reqid in a policy":     {Linux(), Message{Type: SPDAdd, Policy: &Policy{Requests: []Request{{ReqID: 0x4000}}}}},
		"a large window":                {Linux(), Message{Type: Add, SA: &SA{Window: 1024}}},
		"a new address":                 {Linux(), Message{Type: Update, NewSrc: prefix("192.0.2.1/32")}},
	} {
		if b, err := c.d.Append([]byte("before"), &c.m); !errors.Is(err, ErrDialect) || string(b) != "before" {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func TestKeysAreNotLeftBehindByAnError(t *testing.T) {
	t.Parallel()
	buf := make([]byte, 0, 4096)
	m := *samples()["add"]
	m.NewSrc = prefix("192.0.2.9/32")
	if _, err := Linux().Append(buf, &m); err == nil {
		t.Fatal("no error")
	}
	if bytes.Contains(buf[:cap(buf)], m.EncrKey) {
		t.Error("a key is left in the buffer")
	}
}

func TestALongMessageOfLengthsAllocatesLittle(t *testing.T) { // not parallel: it counts what the process allocates
	d := Linux()
	b := make([]byte, headerSize+16)
	b[0], b[1], b[3] = version, uint8(Dump), 3
	d.Order.PutUint16(b[4:], uint16(len(b)/word))
	d.Order.PutUint16(b[headerSize:], 2)
	d.Order.PutUint16(b[headerSize+2:], 8) // a key of 8191 octets
	d.Order.PutUint16(b[headerSize+4:], 65535)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := d.Parse(b)
	runtime.ReadMemStats(&after)
	if !errors.Is(err, ErrShort) || after.TotalAlloc-before.TotalAlloc > 1<<20 {
		t.Errorf("%v, %d octets", err, after.TotalAlloc-before.TotalAlloc)
	}
}

func FuzzParse(f *testing.F) {
	all := dialects()
	for i, d := range all {
		for _, m := range samples() {
			if b, err := d.Append(nil, fits(d, m)); err == nil {
				f.Add(uint8(i), b)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		d := all[int(which)%len(all)]
		m, err := d.Parse(b)
		if err != nil {
			return
		}
		again, err := d.Append(nil, m)
		if err != nil {
			return // what a kernel says is more than we ask
		}
		if back, err := d.Parse(again); err != nil || !reflect.DeepEqual(back, m) {
			t.Errorf("%s: %+v comes back as %+v, %v", d.Name, m, back, err)
		}
	})
}
