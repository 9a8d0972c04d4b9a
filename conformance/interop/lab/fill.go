package lab

import "strings"

// Fill replaces %NAME% in a template by values, given as name and value in turn.
func Fill(template string, namesAndValues ...string) string {
	pairs := make([]string, len(namesAndValues))
	for i := range pairs {
		pairs[i] = namesAndValues[i]
		if i%2 == 0 {
			pairs[i] = "%" + pairs[i] + "%"
		}
	}
	return strings.NewReplacer(pairs...).Replace(template)
}
