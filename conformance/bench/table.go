package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// Median returns the middle value, the zero value of none.
func Median[T cmp.Ordered](values []T) T {
	var none T
	if len(values) == 0 {
		return none
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// Rounds are repetitions of one measurement.
type Rounds []Round

func median[T cmp.Ordered](all Rounds, f func(Round) T) T {
	var values []T
	for _, r := range all {
		values = append(values, f(r))
	}
	return Median(values)
}

// Rate is the median of how many there were in a second.
func (all Rounds) Rate() float64 { return median(all, Round.Rate) }

// Initiator is the median of the CPU time of the initiator and its plugins for one handshake.
func (all Rounds) Initiator() time.Duration {
	return median(all, func(r Round) time.Duration { return r.Initiator.Total() })
}

// Responder is the same for the responder.
func (all Rounds) Responder() time.Duration {
	return median(all, func(r Round) time.Duration { return r.Responder.Total() })
}

// plugins is the part of both that plugin processes have.
func (all Rounds) plugins() (initiator, responder time.Duration) {
	return median(all, func(r Round) time.Duration { return r.Initiator.PluginCPU }),
		median(all, func(r Round) time.Duration { return r.Responder.PluginCPU })
}

func (all Rounds) resent() (sum uint64) {
	for _, r := range all {
		sum += r.Resent
	}
	return sum
}

// Case is one suite with one number of handshakes in flight, with both placements of plugins.
type Case struct {
	Name           string
	InFlight       int
	Linked, Hosted Rounds
}

// Ratio is the CPU time of both sides with hosted plugins against that with linked ones.
func (c Case) Ratio() float64 {
	return float64(c.Hosted.Initiator()+c.Hosted.Responder()) / float64(c.Linked.Initiator()+c.Linked.Responder())
}

// PrintCases writes what handshakes cost as a table.
func PrintCases(w io.Writer, cases []Case) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "suite\tin flight\tplugins\tper second\tinitiator CPU µs\tresponder CPU µs\tof which plugins\tratio\tresent\t")
	for _, c := range cases {
		printRow(t, c, "linked", c.Linked, "")
		printRow(t, c, "hosted", c.Hosted, fmt.Sprintf("%.2f", c.Ratio()))
	}
	return t.Flush()
}

func printRow(w io.Writer, c Case, placement string, all Rounds, ratio string) {
	pi, pr := all.plugins()
	fmt.Fprintf(w, "%s\t%d\t%s\t%.0f\t%.0f\t%.0f\t%.0f + %.0f\t%s\t%d\t\n", c.Name, c.InFlight, placement, all.Rate(),
		micro(all.Initiator()), micro(all.Responder()), micro(pi), micro(pr), ratio, all.resent())
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// PrintMemory writes what an SA takes as a row of a table.
func PrintMemory(w io.Writer, placement, side string, m Memory) {
	fmt.Fprintf(w, "%s\t%s\t%.1f\t%.1f\t%.1f\t\n", placement, side, m.Heap/1024, m.RSS/1024, m.PluginRSS/1024)
}
