package pluginhost

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// misbehave is what a plugin process does that is none.
func misbehave(mode string, args []string) {
	os.Stdout = realStdout()
	switch mode {
	case "garbage":
		fmt.Println("hello, I am a plugin\x1b[31m")
		time.Sleep(time.Minute)
	case "flood":
		for {
			fmt.Print("no line ever ends here ")
		}
	case "silent":
		time.Sleep(time.Minute)
	case "exit":
		fmt.Fprintln(os.Stderr, "panic: cannot find my device")
		os.Exit(3)
	case "version":
		fmt.Println("1|7|unix|/nowhere|grpc|")
		time.Sleep(time.Minute)
	case "tcp":
		fmt.Println("1|1|tcp|127.0.0.1:1|grpc|")
		time.Sleep(time.Minute)
	case "elsewhere": // another process listens where it claims to
		fmt.Printf("1|1|unix|%s|grpc|\n", args[0])
		time.Sleep(time.Minute)
	default:
		raw(mode)
	}
	os.Exit(0)
}

// realStdout finds the standard output that package serve put away: the one pipe that our children would not inherit.
func realStdout() *os.File {
	for fd := 3; fd < 64; fd++ {
		var stat unix.Stat_t
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err == nil && flags&unix.FD_CLOEXEC != 0 && unix.Fstat(fd, &stat) == nil && stat.Mode&unix.S_IFMT == unix.S_IFIFO {
			return os.NewFile(uintptr(fd), "stdout")
		}
	}
	panic("the fixture has no standard output")
}

// daemonMain is a daemon with one plugin; it tells the plugin's process number and waits for its own end.
func daemonMain(dir string) {
	path, _ := os.Executable()
	cfg := quick
	cfg.RuntimeDir = dir
	cfg.Entries = []Entry{{Name: "ke", Path: path, Kinds: []string{"ke"}, Args: []string{"ke"}}}
	h, err := New(cfg)
	if err == nil {
		err = h.Start(context.Background())
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(h.Status()[0].PID)
	select {}
}
