// A vCenter for tests: VMware's own simulator, filled with an inventory. By default, this has two
// datacenters, the second of which is in a folder. The program serves until its standard input is
// closed, and then removes its files.
package main

import (
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/vpx"
	"github.com/vmware/govmomi/vim25/types"
)

// The values to set on a virtual machine, named as in the API.
type setting struct {
	Uuid, Name, GuestId, GuestFullName, Annotation, Firmware, Version, Created, Host string

	Cpus, MemoryMB, Tools int32
	Gib                   int64
	Thin                  bool
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	certificate := flag.String("certificate", "", "PEM file with the certificate and its key")
	user := flag.String("user", "", "the user who may log in")
	datacenters := flag.Int("datacenters", 2, "number of datacenters; the last one is in a folder")
	clusters := flag.Int("clusters", 2, "clusters in each datacenter")
	hosts := flag.Int("hosts", 1, "hosts outside a cluster in each datacenter")
	machines := flag.Int("machines", 2, "virtual machines in each cluster, and on each host outside a cluster")
	every := flag.Int("every", 2, "every n-th virtual machine, beginning with the first, is a template")
	delay := flag.Int("delay", 0, "milliseconds added to each call")
	flag.Parse()

	model := simulator.VPX()
	defer model.Remove()
	about := vpx.ServiceContent.About
	about.ApiVersion, about.Version = "7.0.3.0", "7.0.3"
	model.ServiceContent.About = about
	model.Datacenter, model.Folder = *datacenters, 1
	model.Cluster, model.ClusterHost, model.Host = *clusters, 2, *hosts
	model.Machine, model.Autostart = *machines, false
	model.DelayConfig.Delay = *delay
	must(model.Create())

	settings := map[string]setting{}
	must(json.NewDecoder(os.Stdin).Decode(&settings))
	change(*every, settings)

	pair, err := tls.LoadX509KeyPair(*certificate, *certificate)
	must(err)
	model.Service.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	// The password is in the environment, because every user of the machine can see the arguments
	// of a process.
	login := url.UserPassword(*user, os.Getenv("VCSIM_PASSWORD"))
	model.Service.Listen = &url.URL{Host: *listen, User: login}
	server := model.Service.NewServer()
	defer server.Close()
	fmt.Println(server.URL.Host)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// Converts every n-th machine to a template, and applies the settings, which are by the name of the
// machine. The names end in VM0, VM1, and so on.
func change(every int, settings map[string]setting) {
	for _, each := range simulator.Map.All("VirtualMachine") {
		machine := each.(*simulator.VirtualMachine)
		number, err := strconv.Atoi(machine.Name[strings.LastIndex(machine.Name, "VM")+2:])
		must(err)
		if number%every == 0 {
			machine.MarkAsTemplate(&types.MarkAsTemplate{This: machine.Self})
		}
		if values, ok := settings[machine.Name]; ok {
			set(machine, values)
		}
	}
}

func set(machine *simulator.VirtualMachine, values setting) {
	config := machine.Config
	machine.Name, config.Name = values.Name, values.Name
	config.InstanceUuid = values.Uuid
	config.GuestId, config.GuestFullName = values.GuestId, values.GuestFullName
	config.Annotation, config.Firmware = values.Annotation, values.Firmware
	config.Hardware.NumCPU, config.Hardware.MemoryMB = values.Cpus, values.MemoryMB
	config.Tools.ToolsVersion, config.Version = values.Tools, values.Version
	for _, each := range simulator.Map.All("HostSystem") {
		if host := each.(*simulator.HostSystem); host.Name == values.Host {
			machine.Runtime.Host = &host.Self
		}
	}
	machine.Guest.ToolsStatus = types.VirtualMachineToolsStatusToolsNotRunning
	if created, err := time.Parse(time.RFC3339, values.Created); err == nil {
		config.CreateDate = &created
	}
	for _, device := range config.Hardware.Device {
		if disk, ok := device.(*types.VirtualDisk); ok {
			disk.CapacityInBytes, disk.CapacityInKB = values.Gib<<30, values.Gib<<20
			backing := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
			backing.ThinProvisioned = &values.Thin
		}
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
