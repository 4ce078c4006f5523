// Package phone reads telephone numbers as phone systems and people write them.
package phone
