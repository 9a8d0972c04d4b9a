// Package sdktest lets vendors test their plugin as the daemon meets it: Serve runs the real serving code in the test's
// process, with the codec in between, and gives clients that look like the plugin itself.
//
//	func TestMyExchange(t *testing.T) {
//		c := sdktest.Serve(t, serve.KE("acme", acme.New()))
//		public, secret, err := c.KE("acme").Respond(t.Context(), 31, peer)
//		...
//	}
//
// Connect does the same for a plugin that runs as a process.
//
// What crosses is only what the messages carry: an error keeps its kind and its text, a secret arrives as a copy.
package sdktest
