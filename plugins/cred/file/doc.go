// Package file is the credential store for pre-shared keys in files, one key a file, found by identity.
//
// A file holds a key in one of three forms, with or without a newline at its end:
//
//	a key as text, every octet as it stands          (RFC 7296 section 2.15 asks for text of 64 octets and more)
//	0x6b6579          in hexadecimal                 (RFC 7296 section 2.15)
//	0sa2V5            in base64, with or without "="
//
// Promises: no key leaves the store. A file must be a regular one without any permission for group and others, which is
// checked on the opened file. A changed file is read again at the next use, at most a second later; a file that became
// bad gives an error at each use until it is mended, never its old key. Keys are wiped when they are replaced.
//
// Limits: a change that leaves a file's inode, size, mode and modification time as they were goes unseen. Reading is not
// bounded in time: keep keys on local disks. Identities match exactly, octet by octet, or any; an FQDN with "*." in place of its
// first label stands for all names of that domain, one label deep.
package file
