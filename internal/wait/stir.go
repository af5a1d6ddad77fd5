package wait

// Stir lets every condition be looked at again, soon after it is called:
// for conditions that this process itself has made true, without a Waker.
func (s *Sleeper) Stir() { s.rouse() }
