// A vCenter for tests: VMware's own simulator, filled with an inventory of two datacenters, the
// second in a folder. Serves until its standard input is closed, and then clears up.
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

// A setting is what a virtual machine is changed to, in the words of the API.
type setting struct {
	Uuid, Name, GuestId, GuestFullName, Annotation, Firmware, Version, Created, Host string

	Cpus, MemoryMB, Tools int32
	Gib                   int64
	Thin                  bool
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address")
	certificate := flag.String("certificate", "", "PEM file with the certificate and its key")
	user := flag.String("user", "", "who may log in")
	datacenters := flag.Int("datacenters", 2, "the last one is in a folder")
	clusters := flag.Int("clusters", 2, "of each datacenter")
	hosts := flag.Int("hosts", 1, "of each datacenter, in no cluster")
	machines := flag.Int("machines", 2, "virtual machines of each cluster, and of each such host")
	every := flag.Int("every", 2, "every n-th of them, beginning with the first, is a template")
	delay := flag.Int("delay", 0, "milliseconds by which each call is slower")
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
	// The password comes by way of the environment: arguments can be seen by everybody.
	login := url.UserPassword(*user, os.Getenv("VCSIM_PASSWORD"))
	model.Service.Listen = &url.URL{Host: *listen, User: login}
	server := model.Service.NewServer()
	defer server.Close()
	fmt.Println(server.URL.Host)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// Makes templates, and has machines be as they are set. Their names end in VM0, VM1, and so on.
func change(every int, settings map[string]setting) {
	for _, each := range simulator.Map.All("VirtualMachine") {
		machine := each.(*simulator.VirtualMachine)
		number, err := strconv.Atoi(machine.Name[strings.LastIndex(machine.Name, "VM")+2:])
		must(err)
		if number%every == 0 {
			machine.MarkAsTemplate(&types.MarkAsTemplate{This: machine.Self})
		}
		if said, ok := settings[machine.Name]; ok {
			set(machine, said)
		}
	}
}

func set(machine *simulator.VirtualMachine, said setting) {
	config := machine.Config
	machine.Name, config.Name = said.Name, said.Name
	config.InstanceUuid = said.Uuid
	config.GuestId, config.GuestFullName = said.GuestId, said.GuestFullName
	config.Annotation, config.Firmware = said.Annotation, said.Firmware
	config.Hardware.NumCPU, config.Hardware.MemoryMB = said.Cpus, said.MemoryMB
	config.Tools.ToolsVersion, config.Version = said.Tools, said.Version
	for _, each := range simulator.Map.All("HostSystem") {
		if host := each.(*simulator.HostSystem); host.Name == said.Host {
			machine.Runtime.Host = &host.Self
		}
	}
	machine.Guest.ToolsStatus = types.VirtualMachineToolsStatusToolsNotRunning
	if created, err := time.Parse(time.RFC3339, said.Created); err == nil {
		config.CreateDate = &created
	}
	for _, device := range config.Hardware.Device {
		if disk, ok := device.(*types.VirtualDisk); ok {
			disk.CapacityInBytes, disk.CapacityInKB = said.Gib<<30, said.Gib<<20
			backing := disk.Backing.(*types.VirtualDiskFlatVer2BackingInfo)
			backing.ThinProvisioned = &said.Thin
		}
	}
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
