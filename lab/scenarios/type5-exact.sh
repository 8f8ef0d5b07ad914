# The leaf holds exactly the host routes of the gateway's addresses and of the bound VMs: none more, none less, both
# families, with the tenant's VNI as label.
standing_tenant
within 60 type5_total 4

# A second address on the bound port, and a port that is not bound.
ovn-nbctl lsp-set-addresses "$(vm_port 1001)" "fa:16:3e:00:00:10 $VM4 $VM6 20.0.0.11" \
  -- lsp-add "$(network 1001)" unbound -- lsp-set-addresses unbound "fa:16:3e:00:00:20 20.0.0.20"
within 60 type5_is 1001 $VM4/32 20.0.0.11/32 $VM6/128 "$(gateway4 1001)/32" "$(gateway6 1001)/128"

unbind_vm 1001
within 60 type5_is 1001 "$(gateway4 1001)/32" "$(gateway6 1001)/128"
bind_vm 1001
within 60 type5_is 1001 $VM4/32 20.0.0.11/32 $VM6/128 "$(gateway4 1001)/32" "$(gateway6 1001)/128"
type5_total 5
