// Package journal records what an IKE SA was told, so that it can be replayed: a protocol machine gives the same effects
// for the same inputs (core/machine), hence the header, from which the machine is rebuilt, and its inputs with their times
// are the whole story.
//
// Promises. Recording never waits: inputs are encoded by the caller and written by one goroutine from a queue bounded in
// octets. When the disk is full, or slower than the SA, the recording of that SA stops, Failed is called once with the
// reason, and the SA goes on. Everything that was written stays readable: frames carry their length and a checksum, and a
// file that ends in the middle of one yields all before it and then ErrTorn.
//
// A journal holds SECRETS: the seed of the SA, and the shared secrets and keys that plugins returned. Who has it can
// decrypt the recorded IKE SA and its child SAs. Files are created with mode 0600, the directory with 0700; record only
// to explain a fault, and delete the files afterwards.
//
// Format. A magic line, then frames: length (4 octets), CRC-32C (4 octets), both big endian, and that many octets. The
// contents of all frames are one gob stream: a Header, then entries. One file, SPI.journal, holds an IKE SA and those that
// grew out of it by rekeying.
//
// Limits. No fsync: a crash of the daemon loses nothing that was written, a power failure may lose the tail. A file ends
// at MaxFile octets, and at most MaxTracks SAs are recorded at a time.
package journal
