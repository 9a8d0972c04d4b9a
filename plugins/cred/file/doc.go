// Package file is the credential store for what lies in files: pre-shared keys, certificates, private keys, authorities and public
// keys of peers, found by identity, and passwords of users, found by name.
//
// A file holds a pre-shared key, or a password, in one of three forms, with or without a newline at its end:
//
//	a key as text, every octet as it stands          (RFC 7296 section 2.15 asks for text of 64 octets and more)
//	0x6b6579          in hexadecimal                 (RFC 7296 section 2.15)
//	0sa2V5            in base64, with or without "="
//
// Certificates and keys come in PEM and DER: PKCS#1, PKCS#8 (also encrypted by PBES2), SEC 1, PKCS#12; their passphrase is in a file of
// its own. A certificate's file may hold those above it, too, in any order. Authorities lie in files or in folders of files.
//
// Promises: no key leaves the store, and no password but those by which we ourselves are users. A file with a secret must be a regular one without any permission for group and others, which is
// checked on the opened file. A changed file is read again at the next use, at most a second later; a file that became
// bad gives an error at each use until it is mended, never its old key. Pre-shared keys are wiped when they are replaced.
//
// A private key serves one purpose: the same key for signatures and for decryption is refused for both, in whatever files its copies lie.
// Decryption rejects implicitly (package rsaes). Certificates are judged as package chain says; a public key that is configured for a
// peer is the only one that the peer may have.
//
// Limits: the memory of a private key that was replaced is left to the garbage collector. There is no revocation. A change that leaves a
// file's inode, size, mode and modification time as they were goes unseen. Reading is not bounded in time: keep keys on local disks.
// Identities match exactly, octet by octet, or any; of pre-shared keys an FQDN with "*." in place of its first label stands for all
// names of that domain, one label deep.
package file
