package protocol

import "slices"

// Cases are all cases, in the order of the report.
func Cases() []Case {
	return slices.Concat(headerCases, initCases, cookieCases, authCases, daemonCases, sealCases, informCases, childCases, rekeyCases, fragmentCases, mobikeCases, cpCases, transportCases, windowCases, natCases, redirectCases, childlessCases, lifetimeCases, mindCases, selectorCases, ipv6Cases, lastingCases, certificateCases)
}
