package ikev1

import (
	"encoding/binary"
	"time"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/wire/wire1"
)

// This file is dead peer detection (RFC 3706): a peer that has been silent for a while, by IKE and by ESP, is asked whether it is there.

// dpd is what an SA knows of the peer's life.
type dpd struct {
	able  bool   // the peer sent the vendor ID
	seq   uint32 // of our last question (RFC3706-6.2-1)
	asked int    // how often, since the peer was heard; 0: it was not
	first time.Time
	again time.Time
	peer  uint32 // last number of the peer's
	began bool   // there was one
}

// maxSkip is how far the numbers of a peer may run ahead: each question that is lost skips one, and a peer that lost so many has given
// up long since (RFC3706-6.2-6).
const maxSkip = 64

// begin draws the first number, with its high bit clear (RFC3706-6.2-2, RFC3706-6.2-3).
func (x *dpd) begin(s *SA) { x.seq = uint32(s.rand.Uint64()) >> 1 }

// probe asks the peer whether it is there, unless that is on its way, or the peer does not know the question.
func (s *SA) probe() {
	if s.state != Established || !s.dpd.able || s.dpd.asked > 0 {
		return
	}
	s.dpd.seq++
	s.dpd.first = s.now
	s.askPeer()
}

// askPeer sends R-U-THERE, again with the same number when there was no answer (RFC3706-5.4-4, RFC3706-6.1-1).
func (s *SA) askPeer() {
	s.dpd.again = s.now.Add(s.conn.Retransmit.After(s.dpd.asked))
	s.dpd.asked++
	s.inform(s.probeNotify(wire1.RUThere, s.dpd.seq))
}

// probeNotify returns R-U-THERE or its ACK: DOI IPsec, protocol ISAKMP, both cookies, and a number of 4 octets (RFC3706-5.3-1 to -8).
func (s *SA) probeNotify(kind wire1.NotifyType, seq uint32) wire1.Notify {
	n := s.notify(kind)
	n.Data = binary.BigEndian.AppendUint32(nil, seq)
	return n
}

// readProbe returns the number of a notify that is about this SA (RFC3706-6.1-5).
func (s *SA) readProbe(n wire1.Notify) (uint32, bool) {
	if len(n.Data) != 4 || len(n.SPI) == cookiesSize && string(n.SPI) != string(s.cookies()) {
		return 0, false
	}
	return binary.BigEndian.Uint32(n.Data), true
}

// answerProbe acknowledges a question with its number (RFC3706-5.2-1, RFC3706-6.1-2). An old one is not answered: it was recorded.
func (s *SA) answerProbe(p packet, n wire1.Notify) {
	seq, ok := s.readProbe(n)
	if !ok || s.dpd.began && seq-s.dpd.peer >= maxSkip {
		return
	}
	if !s.dpd.began || seq != s.dpd.peer {
		s.fresh(p)
	}
	s.dpd.peer, s.dpd.began = seq, true
	s.inform(s.probeNotify(wire1.RUThereAck, seq))
}

// probeAnswered takes an acknowledgement of the question that is out (RFC3706-6.1-3, RFC3706-6.1-4).
func (s *SA) probeAnswered(p packet, n wire1.Notify) {
	if seq, ok := s.readProbe(n); ok && seq == s.dpd.seq && s.dpd.asked > 0 {
		s.dpd.asked, s.dpd.again = 0, never
		s.fresh(p)
	}
}

// peerDue is when the peer has been silent for long enough to be asked, or to be asked again.
func (s *SA) peerDue() time.Time {
	switch {
	case s.state != Established || !s.dpd.able:
		return never
	case s.dpd.asked > 0:
		return s.dpd.again
	case s.conn.Liveness == 0 || s.session.looking > 0:
		return never
	}
	return s.lastHeard.Add(s.conn.Liveness)
}

// tendPeer asks what is to be asked. Traffic that came in by a child shows that the peer lives (RFC3706-5.4-2).
func (s *SA) tendPeer() {
	switch {
	case !s.due(s.peerDue()):
	case s.dpd.asked > s.conn.Retransmit.Tries:
		s.dead()
	case s.dpd.asked > 0:
		s.emit(event.Retransmitted{Exchange: wire1.ExchangeName(wire1.Informational), Attempt: s.dpd.asked})
		s.askPeer()
	default:
		s.lookForTraffic()
	}
}

// dead ends an SA whose peer did not answer (RFC3706-5.4-5).
func (s *SA) dead() {
	waited := s.now.Sub(s.dpd.first).Round(time.Millisecond).String()
	s.emit(event.LivenessTimedOut{Sent: s.dpd.asked, For: waited})
	s.goodbyeFor(byLiveness, "the peer did not answer "+plural(s.dpd.asked, "packet")+" in "+waited)
	s.shutdown("the peer is dead", 0)
}

// lookForTraffic asks SA backends what has come in, before it asks the peer.
func (s *SA) lookForTraffic() {
	l := &look{s: s}
	for _, c := range s.children {
		if c.up && !c.removing {
			s.session.looking++
			ask(s, machine.QueryUsage{Child: bare(c.sa)}, c.key(), func(r machine.Usage, err *machine.CallError) { l.counted(c, r, err) })
		}
	}
	if s.session.looking == 0 {
		s.probe()
	}
}

// look is the question to SA backends what has come in.
type look struct {
	s     *SA
	alive bool
}

// counted takes the answer for one child; after the last one it is known whether to ask the peer.
func (l *look) counted(c *child, r machine.Usage, err *machine.CallError) {
	s := l.s
	s.session.looking--
	if err == nil && r.Traffic.PacketsIn > c.packetsIn {
		c.packetsIn, l.alive = r.Traffic.PacketsIn, true
	}
	switch {
	case s.session.looking > 0:
	case l.alive:
		s.lastHeard = s.now
	default:
		s.probe()
	}
}
