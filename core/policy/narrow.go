package policy

import "slices"

// maxNarrowed bounds what Narrow returns: each selector becomes kernel policies, and hostile offers are multiplied by ours.
// No peer seen offers more than a few.
const maxNarrowed = 32

// Narrow returns the traffic that both sides select (RFC 7296 section 2.9): the intersections of each of ours with each of
// the peer's, in the order of ours, without those that others contain; nil when there is none. At most 32 are returned, and
// of more those within the peer's first selector stay first, because it holds the packet that the peer wants to send.
func Narrow(configured, offered []Selector) []Selector {
	pieces := maximal(intersections(configured, offered))
	if len(pieces) > maxNarrowed {
		slices.SortStableFunc(pieces, func(a, b piece) int { return min(a.theirs, 1) - min(b.theirs, 1) })
		pieces = pieces[:maxNarrowed]
		slices.SortStableFunc(pieces, func(a, b piece) int { return a.ours - b.ours })
	}
	var out []Selector
	for _, p := range pieces {
		out = append(out, p.sel)
	}
	return out
}

// piece is an intersection and the indices of the selectors that made it.
type piece struct {
	sel          Selector
	ours, theirs int
}

// maxPieces bounds the quadratic work of finding duplicates; the peer's first selector is looked at first.
const maxPieces = 1024

func intersections(configured, offered []Selector) []piece {
	var all []piece
	for j, b := range offered {
		for i, a := range configured {
			if s, ok := Intersect(a, b); ok && len(all) < maxPieces {
				all = append(all, piece{s, i, j})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b piece) int { return a.ours - b.ours })
	return all
}

// maximal leaves out what other pieces contain, and all but the first of equal ones.
func maximal(all []piece) []piece {
	var out []piece
	for i := range all {
		if !covered(all, i) {
			out = append(out, all[i])
		}
	}
	return out
}

func covered(all []piece, i int) bool {
	for j := range all {
		if j != i && all[j].sel.Contains(all[i].sel) && (all[j].sel != all[i].sel || j < i) {
			return true
		}
	}
	return false
}
