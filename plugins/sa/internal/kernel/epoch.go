package kernel

import (
	"hash/fnv"
	"os"
)

// BootEpoch names this life of the kernel, which is where the SAs are.
func BootEpoch() uint64 {
	h := fnv.New64a()
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	_, _ = h.Write(text)
	return h.Sum64()
}
