;; Takes table elements until it gets no more, 1,024 at a time.
;;
;;   run: func() -> u32;        // then traps
;;   elements: func() -> u32;   // then returns how many it has
(component
  (core module $M
    (table $t 1 funcref)
    (func $grow
      (loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 1024)) (i32.const -1)))))
    (func (export "run") (result i32) (call $grow) unreachable)
    (func (export "elements") (result i32) (call $grow) (table.size $t)))
  (core instance $m (instantiate $M))
  (func (export "run") (result u32) (canon lift (core func $m "run")))
  (func (export "elements") (result u32) (canon lift (core func $m "elements")))
)
