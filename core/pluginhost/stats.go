package pluginhost

import (
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

// stats count over all runs of a plugin.
type stats struct {
	calls, errors    atomic.Uint64
	late, unanswered atomic.Uint64
	lost             atomic.Int64 // calls in flight at the last death
	latency          histogram
}

// histogram has four buckets per power of two of nanoseconds, so that a quantile is right within a fifth.
type histogram [buckets]atomic.Uint64

const (
	subBits = 2
	buckets = 48 << subBits // up to 2^48 ns, three days
)

func (h *histogram) add(d time.Duration) {
	ns := uint64(max(d, 1<<subBits))
	octave := bits.Len64(ns) - 1
	sub := ns >> (octave - subBits) & (1<<subBits - 1)
	h[min(octave<<subBits+int(sub), buckets-1)].Add(1)
}

// quantile returns the upper end of the bucket that holds the q-th part of all, 0 when there are none.
func (h *histogram) quantile(q float64) time.Duration {
	var counts [buckets]uint64
	var total uint64
	for i := range h {
		counts[i] = h[i].Load()
		total += counts[i]
	}
	rank, seen := uint64(q*float64(total)), uint64(0)
	for i, n := range counts {
		if seen += n; n > 0 && seen > rank {
			octave, sub := i>>subBits, uint64(i&(1<<subBits-1))
			return time.Duration((1<<subBits + sub + 1) << (octave - subBits))
		}
	}
	return 0
}

// PluginStatus is what there is to know about one plugin, for people.
type PluginStatus struct {
	Name, Path      string
	Product         string // the name that the plugin gives itself
	Version, Vendor string
	PID             int // 0 while it is down
	Kinds, Services []string
	Capabilities    []string
	State           State
	Since           time.Time // of the state
	Restarts        int
	Carrier         string // "framed" or "grpc"
	Calls, Errors   uint64
	Late            uint64 // replies that nobody awaited any more
	Unanswered      uint64 // calls whose deadline passed
	InFlight        int
	P50, P99        time.Duration // of answered calls
	LastError       string
}

// Status describes all plugins in the order of the catalogue.
func (h *Host) Status() []PluginStatus {
	var out []PluginStatus
	for _, s := range h.supervisors {
		out = append(out, s.status())
	}
	return out
}

func (s *supervisor) status() PluginStatus {
	st := &s.stats
	out := PluginStatus{
		Name: s.entry.Name, Path: s.entry.Path, Kinds: slices.Clone(s.entry.Kinds),
		Calls: st.calls.Load(), Errors: st.errors.Load(), Late: st.late.Load(), Unanswered: st.unanswered.Load(),
		P50: st.latency.quantile(0.5), P99: st.latency.quantile(0.99),
	}
	session := s.session.Load()
	if session != nil {
		out.InFlight = session.inFlight()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out.State, out.Since, out.Restarts, out.LastError = s.state, s.since, s.restarts, s.lastError
	out.Product, out.Version, out.Vendor = s.manifest.GetName(), s.manifest.GetVersion(), s.manifest.GetVendor()
	if session != nil {
		out.PID, out.Carrier = s.pid, "grpc"
	}
	if session != nil && s.framed {
		out.Carrier = "framed"
	}
	for _, p := range s.manifest.GetProvides() {
		out.Services = append(out.Services, p.GetKind()+":"+p.GetName())
		out.Capabilities = append(out.Capabilities, p.GetCapabilities()...)
	}
	return out
}
