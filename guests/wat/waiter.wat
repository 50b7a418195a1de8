;; Waits for its host: `run: func()` calls `wait` and returns after it.
;;
;;   interface test:host/door@0.1.0 { wait: func(); }
;;   world { import door; export run: func() }
(component
  (import "test:host/door@0.1.0" (instance $door (export "wait" (func))))
  (core func $wait (canon lower (func $door "wait")))
  (core module $M (import "door" "wait" (func $wait)) (func (export "run") (call $wait)))
  (core instance $m (instantiate $M (with "door" (instance (export "wait" (func $wait))))))
  (func (export "run") (canon lift (core func $m "run")))
)
