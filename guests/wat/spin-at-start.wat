;; Never comes to be: its start function doesn't end. `run: func()` does nothing.
(component
  (core module $M
    (func $start (loop $for-ever (br $for-ever)))
    (start $start)
    (func (export "run")))
  (core instance $m (instantiate $M))
  (func (export "run") (canon lift (core func $m "run")))
)
