package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
)

var (
	seedFlag   = flag.Int64("seed", -1, "run only the world of this seed, and print it")
	worldsFlag = flag.Int64("worlds", 10_000, "how many worlds to run")
	firstFlag  = flag.Int64("first", 0, "the first seed")
	ofEdition  = flag.Int("edition", int(latest), "which edition of the worlds")
	allFlag    = flag.Bool("all", false, "go on after a world in which something does not hold")
)

// kept are seeds that found something once.
var kept = []struct {
	seed    uint64
	edition edition
	found   string
}{
	{24, historic, "a child that was deleted while it was being installed, and came back with its wiped keys"},
	{260, historic, "two sides that repeated the last two messages of main mode for ever"},
	{1765, historic, "the same with a quick mode that had failed on one side"},
	{48, first, "answers to unknown SPIs, which belong to no SA"},
	{84, first, "two pauses that outlast a peer's patience"},
	{1549, first, "a lost response in a quiet world, which alone shows repetitions that are not answered"},
	{365, rekeyed, "a Delete of a child on an IKE SA whose successor has the child"},
	{3489, rekeyed, "a reauthentication of an IKE SA that was rekeyed meanwhile"},
	{8423, rekeyed, "an IKE SA that had to give way and was rekeyed meanwhile"},
	{45536, rekeyed, "two IKE SAs that were begun at once and came up in another order on either side"},
	{54530, rekeyed, "an IKE SA that gave way to a rekeyed one that was about to end"},
	{135542, rekeyed, "a child that was deleted while it was being installed, and came back with its wiped keys"},
	{1007, restless, "a responder that left an address which the initiator goes on using"},
	{2250, restless, "an update of a child that was asked for again and undid the one after it"},
	{4192, restless, "an IKE SA that stayed though there was another"},
	{4238, restless, "a list of addresses that overtook UPDATE_SA_ADDRESSES"},
	{534399, haunted, "a responder that moved while it rekeyed, and told nobody"},
	{609838, haunted, "a list of addresses that waited for the window and kept an update from being asked"},
	{795438, haunted, "an IKE SA that came up to be redirected, and took the place of one that served"},
	{829583, haunted, "children that waited for a return routability check when their IKE SA was rekeyed, and stayed behind"},
}

// historicShare is how many worlds of IKEv2 there are for each of IKEv1.
const historicShare = 10

// garbage is how much the heap may grow, in percent of what is in use, before it is swept. A world is small and gone soon: with the
// usual 100 a third of the time went into sweeping.
const garbage = 800

func TestMain(m *testing.M) {
	debug.SetGCPercent(garbage)
	os.Exit(m.Run())
}

func TestWorlds(t *testing.T) {
	if *seedFlag >= 0 {
		t.Log(live(t, uint64(*seedFlag), edition(*ofEdition)))
		return
	}
	var next atomic.Int64
	next.Store(*firstFlag)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for seed := next.Add(1) - 1; seed < *firstFlag+*worldsFlag && (*allFlag || !t.Failed()); seed = next.Add(1) - 1 {
				live(t, uint64(seed), edition(*ofEdition))
			}
		})
	}
	wg.Wait()
}

// TestIKEv1Worlds are worlds of IKEv1.
func TestIKEv1Worlds(t *testing.T) {
	for seed := range uint64(*worldsFlag / historicShare) {
		if live(t, uint64(*firstFlag)+seed, addressed); t.Failed() && !*allFlag {
			return
		}
	}
}

func TestKeptSeeds(t *testing.T) {
	for _, k := range kept {
		t.Run(fmt.Sprint(k.seed, " ", k.found), func(t *testing.T) { live(t, k.seed, k.edition) })
	}
}

// live runs a world and reports what does not hold in it.
func live(t *testing.T, seed uint64, e edition) *world {
	t.Helper()
	w := newWorld(seed, e)
	w.run()
	for _, f := range w.failures {
		t.Errorf("seed %d: %s (make sim SEED=%d)", seed, f, seed)
	}
	return w
}

// TestASeedIsAWorld: two runs of a seed are the same, event for event.
func TestASeedIsAWorld(t *testing.T) {
	for seed := range uint64(50) {
		if a, b := live(t, seed, latest).String(), live(t, seed, latest).String(); a != b {
			t.Fatalf("seed %d differs between two runs:\n%s\n%s", seed, a, b)
		}
	}
}
