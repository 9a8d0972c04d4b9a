// Command parley-plugin serves any of the first-party plugins, those that its arguments name:
//
//	parley-plugin ke:curve ke:ecp ke:modp
//
// parleyd starts it so, one process for each kind. By hand, "parley-plugin list" prints the names, and "parley-plugin
// describe NAME..." what they provide.
package main
