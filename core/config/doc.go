// Package config turns the configuration, HCL files, into an immutable, validated snapshot.
//
// Load reads a file and, after it, conf.d/*.hcl beside it in lexical order, as if they were one. Paths in a file are relative
// to that file's folder.
//
//	daemon        name, control_socket, journal, state_dir, runtime_dir, log_level, listen, port, natt_port,
//	              half_open_timeout, plugin_health, flood { cookie_threshold, source_cookie_threshold, max_half_open,
//	              source_max_half_open, rate, source_rate, errors, source_errors, ikev1_max_half_open, ikev1_source_max_half_open,
//	              ikev1_rate, ikev1_source_rate, rsa_decryptions, source_rsa_decryptions }
//	connection X  version, mode, allow_aggressive_psk, rsa_deviation, local { address, identity, auth, user, send_certificate }, remote { address, identity, auth, user }, proposals or profile,
//	              liveness, nat_keepalive, call_budget, force_encap, max_children, lifetime { time, margin, jitter }, fragmentation { enable, size }, window, netns,
//	              retransmit { initial, factor, max, tries },
//	              child Y { local_ts, remote_ts, proposals or profile, mode, start, backend, replay_window, mark, output_mark, if_id, interface,
//	              df, ecn, dscp, offload { mode, device, require },
//	              lifetime { time, margin, jitter, bytes, packets } }
//	bypass X      local_ts, remote_ts: traffic that passes in clear
//	discard X     likewise: traffic that is dropped
//	credentials   psk "IDENTITY" { file, local }, password "USER" { file, own }
//	plugin Z      kind, path, sha256, args, config, privileges, user
//	nats          mode, url, credentials, store_dir, max_bytes, tls { ca, cert, key }
//	events        nothing yet
//
// It promises:
//
//   - Everything has a safe default: a connection needs a peer, an identity and a key.
//   - All mistakes are reported at once, each with file, line, column, the line itself and what to write instead.
//     An unknown setting is a mistake.
//   - Secrets are named, never held: the files of pre-shared keys are checked for existence and permissions, not read. A line
//     that may hold a secret is not quoted in an error.
//   - Snapshot.Where tells the line of a setting, for explanations that point at what to change.
//
// One thing is more liberal than HCL: a block on one line may hold several settings and blocks.
//
// Its limits: there are no variables and functions; plugins' own settings are checked by the plugins; DNS names are not
// resolved here.
package config
