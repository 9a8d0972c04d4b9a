package protocol

import "slices"

// Cases are all cases, in the order of the report.
func Cases() []Case {
	return slices.Concat(headerCases, initCases, cookieCases, authCases, daemonCases, sealCases, informCases, childCases, rekeyCases, fragmentCases, mobikeCases, cpCases, transportCases, windowCases, natCases, redirectCases, childlessCases, lifetimeCases, mindCases, selectorCases, ipv6Cases, lastingCases, certificateCases, byMain(ikev1Cases()))
}

// ikev1Cases are those for IKEv1.
func ikev1Cases() []Case {
	return slices.Concat(v1HeaderCases, v1MainCases, v1IdentityCases, v1AggressiveCases, v1QuickCases, v1InformCases, v1NATCases, v1SignatureCases, v1AbuseCases)
}

// byMain has cases begin IKEv1 by main mode, unless they say otherwise.
func byMain(list []Case) []Case {
	for i := range list {
		if list[i].Settings.IKEv1 == "" {
			list[i].Settings.IKEv1 = "main"
		}
	}
	return list
}
