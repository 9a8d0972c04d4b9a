package event

// The catalogue: code, name, severity and outcome of every type. Codes are never reused.

func (IKEInitiated) Kind() Kind { return Kind{1001, "ike_sa.initiated", Info, Unknown} }
func (IKEHalfOpenTimedOut) Kind() Kind {
	return Kind{1002, "ike_sa.half_open_timeout", Warning, Failure}
}
func (IKEEstablished) Kind() Kind { return Kind{1003, "ike_sa.established", Info, Success} }
func (IKEDeleted) Kind() Kind     { return Kind{1006, "ike_sa.deleted", Info, Success} }
func (IKEFailed) Kind() Kind      { return Kind{1007, "ike_sa.failed", Warning, Failure} }
func (IKEReauthenticated) Kind() Kind {
	return Kind{1005, "ike_sa.reauthenticated", Info, Success}
}
func (IKERedirected) Kind() Kind   { return Kind{1010, "ike_sa.redirected", Notice, Success} }
func (IKEUniqueness) Kind() Kind   { return Kind{1009, "ike_sa.uniqueness", Notice, Success} }
func (IKEStateChanged) Kind() Kind { return Kind{1013, "ike_sa.state_changed", Debug, Success} }

func (ChildEstablished) Kind() Kind   { return Kind{1101, "child_sa.established", Info, Success} }
func (ChildDeleted) Kind() Kind       { return Kind{1103, "child_sa.deleted", Info, Success} }
func (ChildFailed) Kind() Kind        { return Kind{1104, "child_sa.failed", Warning, Failure} }
func (ChildTSMismatch) Kind() Kind    { return Kind{1106, "child_sa.ts_mismatch", Warning, Failure} }
func (ChildTSNarrowed) Kind() Kind    { return Kind{1107, "child_sa.ts_narrowed", Notice, Success} }
func (ChildLost) Kind() Kind          { return Kind{1111, "child_sa.lost", Warning, Failure} }
func (ChildPlaced) Kind() Kind        { return Kind{1112, "child_sa.placed", Notice, Success} }
func (ChildInstallFailed) Kind() Kind { return Kind{1108, "child_sa.install_failed", Error, Failure} }

func (AuthSucceeded) Kind() Kind       { return Kind{1201, "auth.succeeded", Info, Success} }
func (AuthFailed) Kind() Kind          { return Kind{1202, "auth.failed", Warning, Failure} }
func (AuthMessageReceived) Kind() Kind { return Kind{1207, "auth.message_received", Info, Unknown} }

func (ProposalMismatch) Kind() Kind {
	return Kind{1301, "negotiation.proposal_mismatch", Warning, Failure}
}
func (WeakAlgorithm) Kind() Kind {
	return Kind{1302, "negotiation.weak_algorithm", Warning, Success}
}
func (InvalidKE) Kind() Kind { return Kind{1306, "negotiation.invalid_ke", Notice, Unknown} }
func (UnsupportedCritical) Kind() Kind {
	return Kind{1307, "negotiation.unsupported_critical", Notice, Failure}
}
func (SuiteChosen) Kind() Kind    { return Kind{1309, "negotiation.suite_chosen", Info, Success} }
func (NotifyReceived) Kind() Kind { return Kind{1310, "negotiation.notify_received", Info, Unknown} }

func (LivenessTimedOut) Kind() Kind { return Kind{1501, "liveness.dpd_timeout", Warning, Failure} }
func (Retransmitted) Kind() Kind    { return Kind{1502, "liveness.retransmit", Debug, Unknown} }
func (RetransmitTimedOut) Kind() Kind {
	return Kind{1504, "liveness.retransmit_timeout", Warning, Failure}
}
func (PeerUnreachable) Kind() Kind { return Kind{1505, "liveness.peer_unreachable", Warning, Failure} }
func (PeerReachable) Kind() Kind   { return Kind{1507, "liveness.peer_reachable", Notice, Success} }

func (NATDetected) Kind() Kind { return Kind{1602, "mobility.nat_detected", Info, Success} }
func (NATMappingChanged) Kind() Kind {
	return Kind{1603, "mobility.nat_mapping_changed", Notice, Success}
}

func (AddressChanged) Kind() Kind { return Kind{1601, "mobility.address_changed", Notice, Success} }
func (RoutabilityFailed) Kind() Kind {
	return Kind{1604, "mobility.rr_check_failed", Warning, Failure}
}

func (CookieThreshold) Kind() Kind { return Kind{1701, "dos.cookie_threshold", Notice, Success} }
func (RateLimited) Kind() Kind     { return Kind{1703, "dos.rate_limited", Warning, Failure} }
func (ParseErrors) Kind() Kind     { return Kind{1705, "protocol.parse_error", Notice, Failure} }
func (IntegrityFailed) Kind() Kind { return Kind{1709, "protocol.decrypt_failed", Notice, Failure} }
func (FragmentFailed) Kind() Kind  { return Kind{1710, "protocol.fragment_error", Notice, Failure} }
func (CookieRequested) Kind() Kind { return Kind{1712, "dos.cookie_requested", Debug, Success} }

func (PoolLeased) Kind() Kind       { return Kind{1801, "pool.lease", Info, Success} }
func (PoolReleased) Kind() Kind     { return Kind{1802, "pool.release", Info, Success} }
func (PoolExhausted) Kind() Kind    { return Kind{1803, "pool.exhausted", Error, Failure} }
func (PoolStoreFailed) Kind() Kind  { return Kind{1804, "pool.store_failed", Error, Failure} }
func (PoolStoreMended) Kind() Kind  { return Kind{1805, "pool.store_mended", Notice, Success} }
func (AddressAssigned) Kind() Kind  { return Kind{1811, "address.assigned", Info, Success} }
func (AddressWithdrawn) Kind() Kind { return Kind{1812, "address.withdrawn", Info, Success} }
func (PeerVersion) Kind() Kind      { return Kind{1813, "address.peer_version", Info, Success} }

func (PluginStarted) Kind() Kind   { return Kind{1901, "plugin.started", Info, Success} }
func (PluginCrashed) Kind() Kind   { return Kind{1902, "plugin.crashed", Error, Failure} }
func (PluginRestarted) Kind() Kind { return Kind{1903, "plugin.restarted", Notice, Success} }
func (PluginUnhealthy) Kind() Kind { return Kind{1904, "plugin.unhealthy", Warning, Failure} }
func (PluginDegraded) Kind() Kind  { return Kind{1905, "plugin.degraded", Critical, Failure} }
func (PluginRejected) Kind() Kind  { return Kind{1906, "plugin.rejected", Critical, Failure} }
func (PluginStopped) Kind() Kind   { return Kind{1907, "plugin.stopped", Info, Success} }

func (DaemonStarted) Kind() Kind    { return Kind{2001, "daemon.started", Info, Success} }
func (DaemonStopping) Kind() Kind   { return Kind{2002, "daemon.stopping", Info, Success} }
func (DaemonReady) Kind() Kind      { return Kind{2003, "daemon.ready", Info, Success} }
func (KeysExported) Kind() Kind     { return Kind{2005, "daemon.keys_exported", Warning, Success} }
func (ConfigChanged) Kind() Kind    { return Kind{2101, "config.changed", Notice, Success} }
func (ConfigRejected) Kind() Kind   { return Kind{2102, "config.rejected", Error, Failure} }
func (ControlRequested) Kind() Kind { return Kind{2106, "control.request", Notice, Success} }

func (TrafficTrapped) Kind() Kind    { return Kind{2301, "backend.traffic_trapped", Info, Success} }
func (BackendChosen) Kind() Kind     { return Kind{2304, "backend.chosen", Info, Success} }
func (BackendReconciled) Kind() Kind { return Kind{2305, "backend.reconciled", Notice, Success} }
func (PoliciesNotSet) Kind() Kind    { return Kind{2306, "backend.policies_not_set", Error, Failure} }

func (StreamGap) Kind() Kind  { return Kind{2401, "audit.stream_gap", Error, Failure} }
func (MirrorDown) Kind() Kind { return Kind{2404, "audit.mirror_down", Error, Failure} }
func (MirrorUp) Kind() Kind   { return Kind{2405, "audit.mirror_up", Notice, Success} }
