package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// processTree draws a process and all below it, with what each was asked to serve.
func processTree(root int) (string, error) {
	children := map[int][]int{}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return "", err
	}
	for _, stat := range stats {
		if pid, parent, ok := parseStat(stat); ok {
			children[parent] = append(children[parent], pid)
		}
	}
	var b strings.Builder
	drawProcess(&b, root, children, "")
	return b.String(), nil
}

// parseStat reads pid and parent; the name in parentheses may hold spaces.
func parseStat(path string) (pid, parent int, ok bool) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, false // the process ended meanwhile
	}
	text := string(raw)
	pid, err = strconv.Atoi(text[:strings.IndexByte(text, ' ')])
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if err != nil || len(fields) < 2 {
		return 0, 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return pid, parent, err == nil
}

func drawProcess(b *strings.Builder, pid int, children map[int][]int, indent string) {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	args := strings.Split(strings.TrimRight(string(raw), "\x00"), "\x00")
	args[0] = filepath.Base(args[0])
	fmt.Fprintf(b, "%s%d  %s\n", indent, pid, strings.Join(args, " "))
	for _, child := range children[pid] {
		drawProcess(b, child, children, indent+"  ")
	}
}
