package daemon

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"

	"github.com/parley-ike/parley/bus/event"
	"github.com/parley-ike/parley/core/machine"
	"github.com/parley-ike/parley/core/suite"
)

// keyBacklog is how many IKE SAs may wait to be written; above it keys are left out, because no exchange waits for a disk.
const keyBacklog = 4096

// keyFile writes the keys of IKE SAs down, a line each, as Wireshark and tshark take them: an argument of their option -o.
type keyFile struct {
	file  io.WriteCloser
	queue chan machine.Keys
	quit  chan struct{} // closed: no keys come any more
	ended chan struct{}
	log   *zap.Logger
}

// startExport opens the file that the command line names, if it names one.
func (d *daemon) startExport(context.Context) error {
	path := d.options.ExportKeys
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("parleyd: the file for keys: %w: name one by --export-keys that can be written, or leave the option out", err)
	}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		_ = f.Close()
		return fmt.Errorf("parleyd: the file for keys %s can be read or written by others (mode %04o): chmod 600 %[1]s", path, info.Mode().Perm())
	}
	d.log.Warn("the keys of all IKE SAs are written down; whoever reads the file reads their messages", zap.String("file", path))
	d.publish(event.KeysExported{File: path})
	d.export = newKeyFile(f, d.log)
	d.onClose(func(context.Context) { d.export.close() })
	return nil
}

func newKeyFile(w io.WriteCloser, log *zap.Logger) *keyFile {
	k := &keyFile{file: w, queue: make(chan machine.Keys, keyBacklog), quit: make(chan struct{}), ended: make(chan struct{}), log: log}
	go k.run()
	return k
}

// exportKeys takes the keys of an IKE SA over. It never waits.
func (d *daemon) exportKeys(keys machine.Keys) {
	if d.export == nil {
		keys.Wipe()
		return
	}
	d.export.add(keys)
}

func (k *keyFile) add(keys machine.Keys) {
	select {
	case k.queue <- keys:
	default:
		keys.Wipe()
		k.log.Warn("the keys of an IKE SA were not written down: the disk is too slow")
	}
}

func (k *keyFile) run() {
	defer close(k.ended)
	for {
		select {
		case keys := <-k.queue:
			k.write(keys)
		case <-k.quit:
			for len(k.queue) > 0 {
				k.write(<-k.queue)
			}
			return
		}
	}
}

func (k *keyFile) write(keys machine.Keys) {
	line := wireshark(keys)
	keys.Wipe()
	if _, err := io.WriteString(k.file, line+"\n"); err != nil {
		k.log.Error("the keys of an IKE SA were not written down", zap.Error(err))
	}
}

// close writes what waits.
func (k *keyFile) close() {
	close(k.quit)
	<-k.ended
	_ = k.file.Close()
}

// wireshark returns an SA's keys as an argument of tshark's option -o, or a comment when Wireshark lacks an algorithm.
func wireshark(k machine.Keys) string {
	if k.Version == 1 {
		return fmt.Sprintf("uat:ikev1_decryption_table:%016x,%s", k.SPIi, hex.EncodeToString(k.EncrI))
	}
	encr, integ := wiresharkEncr(k), wiresharkInteg[suite.IntegID(k.Integ)]
	if encr == "" || integ == "" {
		return fmt.Sprintf("# %016x %016x: Wireshark does not know %v with %v", k.SPIi, k.SPIr, suite.EncrID(k.Encr), suite.IntegID(k.Integ))
	}
	return fmt.Sprintf(`uat:ikev2_decryption_table:%016x,%016x,%x,%x,"%s",%x,%x,"%s"`, k.SPIi, k.SPIr,
		[]byte(k.EncrI), []byte(k.EncrR), encr, []byte(k.IntegI), []byte(k.IntegR), integ)
}

// wiresharkEncr returns Wireshark's name of a cipher, "" when it has none.
func wiresharkEncr(k machine.Keys) string {
	switch suite.EncrID(k.Encr) {
	case suite.EncrAESCBC:
		return fmt.Sprintf("AES-CBC-%d [RFC3602]", k.KeyBits)
	case suite.EncrAESGCM16:
		return fmt.Sprintf("AES-GCM-%d with 16 octet ICV [RFC5282]", k.KeyBits)
	}
	return ""
}

// wiresharkInteg has Wireshark's names of integrity algorithms.
var wiresharkInteg = map[suite.IntegID]string{
	suite.IntegNone:           "NONE [RFC4306]",
	suite.IntegHMACSHA1_96:    "HMAC_SHA1_96 [RFC2404]",
	suite.IntegHMACSHA256_128: "HMAC_SHA2_256_128 [RFC4868]",
	suite.IntegHMACSHA384_192: "HMAC_SHA2_384_192 [RFC4868]",
	suite.IntegHMACSHA512_256: "HMAC_SHA2_512_256 [RFC4868]",
}
