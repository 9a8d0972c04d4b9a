// Package policy says what Parley is willing to agree to: who may talk to whom (identities, connections), with which
// algorithms (proposals) and about which traffic (selectors).
//
// It promises:
//
//   - It is pure: nothing here reads a clock, a file or the network, and a Snapshot never changes.
//   - A refused offer is explained: Choose returns, for every pair of an offered and a configured proposal, what each side
//     has of every kind of transform, and the one change that would have helped, in the words of the configuration.
//   - What a peer sends costs time and memory in proportion to its size, and explanations are bounded.
//   - The default proposals hold no algorithm that RFC 8247 or RFC 8221 advises against; the compatible ones do, in a tier
//     of their own behind the others, so that a weak algorithm never mixes with a strong one.
//
// Its limits: AH, transport mode and the additional key exchanges of RFC 9370 are not there. A key longer than the
// configured one is not accepted for that reason alone (RFC 7296 section 3.3.5 would like it to be): list both.
// Distinguished names are compared without regard to case and string type, and have no wildcards.
package policy
