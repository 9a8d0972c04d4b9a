package machine

import "github.com/parley-ike/parley/sdk/secret"

// CheckPassword asks the credential stores whether a peer's password is a user's; what they know of it stays there. Answer:
// PasswordChecked, or an error of kind Refused for another password and NoCredential for a user that no store knows.
type CheckPassword struct {
	User     string
	Password secret.Bytes
}

// PasswordChecked says that the password is the user's.
type PasswordChecked struct{}

// OwnPassword asks the credential stores for the password by which we prove that we are a user. Answer: OwnPasswordFound.
type OwnPassword struct{ User string }

// OwnPasswordFound carries the password.
type OwnPasswordFound struct{ Password secret.Bytes }

func (CheckPassword) op()        {}
func (OwnPassword) op()          {}
func (PasswordChecked) result()  {}
func (OwnPasswordFound) result() {}
