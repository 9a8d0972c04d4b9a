// Package esp is the Encapsulating Security Payload (RFC 4303) as a pure codec: sealing and opening of packets, the
// anti-replay window, and the arithmetic of sizes. Sockets, clocks and randomness are its caller's.
//
// It promises:
//
//   - Nothing of a packet is decrypted or believed before its ICV was verified, in constant time; whatever is not
//     authentic gives ErrIntegrity and nothing more, so that a forger learns nothing.
//   - Key schedules are set up once; Seal and Open allocate nothing when their buffers are large enough.
//   - The IV of the AEAD ciphers is the 64-bit sequence number, so that it is unique as long as the caller never hands
//     out a sequence number twice under one key (RFC 4106 section 3.1). That promise is the caller's to keep.
//   - The window lives in memory that the caller gives, word by word in an order that survives a kill at any instant:
//     a half-made update may drop a fresh packet, it never lets a replay pass.
//
// Its limits: AES-GCM with the 16-octet ICV, AES-CBC with HMAC, ChaCha20-Poly1305; no other ciphers and no ESP without
// integrity. The resynchronisation of RFC 4303 appendix A3, after a loss of 2^32 packets in a row, is not done. A Sealer, an
// Opener and a Window are each for one goroutine at a time.
package esp
