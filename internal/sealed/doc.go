// Package sealed owns how a program that is embedded in this one becomes something to execute: a
// sealed copy in memory. It refuses to know what the program does or how it is started.
package sealed
