// Package suite knows the cryptographic transforms of IKE: their IANA numbers and names, the pseudorandom functions,
// the key schedules, and the protection of messages. What IKEv1 does differently is in files named ikev1_*.go; transforms
// have IKEv2's numbers there too, and ikev1_names.go translates.
//
// It promises:
//
//   - One row in a table of registry.go and one file are all that a new algorithm needs.
//   - A message of IKEv2 is verified, in constant time, before anything in it is decrypted or parsed; all that is not authentic
//     gives ErrIntegrity, so that a sender of forgeries cannot tell a wrong checksum from wrong padding.
//   - It is pure: randomness is handed in, and the same inputs give the same outputs.
//   - Keys travel as secret.Bytes. Errors hold algorithms and lengths, never a byte of a key.
//
// Its limits: key exchange methods are names only, since plugins perform them. PRFs whose key has a fixed length
// (AES-XCBC, AES-CMAC) are missing, and with them the cutting of nonces in RFC 7296 section 2.14. Wipe reaches the key
// bytes; the key schedules that the standard library expands from them wait for the garbage collector.
package suite
